# Everything runs from .venv, which `make setup` makes from the hashed constraints.
PYTHON ?= python3
BIN := .venv/bin
PB := wsadapter/pb

# children start faster from bytecode, whatever the shell says
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test test-fast chaos soak sanitize setup lint fmt docs bench proto reference constraints wheel pip-audit sbom messages clean
run: setup ## the whole road with stand-ins: make run, make run FOR=20s
	$(BIN)/wsadapter-supervisor --embedded --demo $(if $(FOR),--for $(FOR)) $(if $(RATE),--rate $(RATE))

test: setup ## every test: first what starts no real broker or engine, then what does and often waits for one; TIMES=1 writes what each file took into tests/file_seconds.txt
	WSADAPTER_TIMES=$(TIMES) $(BIN)/pytest -n 4 --dist loadfile -m "not integration"
	WSADAPTER_TIMES=$(TIMES) $(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder -m integration

test-fast: setup ## the unit part under a minute: starts no Kafka, no ClickHouse, no supervisor, no command, and leaves out what took longer (tests/file_seconds.txt)
	$(BIN)/pytest -q -n 2 --dist worksteal -m "not integration" --most-seconds 3 --ignore tests/cli --ignore tests/supervision \
	  --ignore tests/bench --ignore tests/chaos --ignore tests/conformance

chaos: setup ## whatever can be done to a running road: make chaos FOR=600 (seconds) or KILLS=300 (kill -9 only), SEED=1 to repeat one, DEEDS=reload for some (a pattern); BROKERS=3: to three brokers, each deed once or as often as FOR lasts, RATE=3000 frames a second
	mkdir -p build
	$(if $(BROKERS),WSADAPTER_CLUSTER=$(or $(FOR),1) WSADAPTER_RATE=$(or $(RATE),0),WSADAPTER_CHAOS=$(or $(FOR),300) \
	  WSADAPTER_KILLS=$(or $(KILLS),0)) WSADAPTER_SEED=$(or $(SEED),0) WSADAPTER_DEEDS='$(DEEDS)' \
	  $(BIN)/pytest -q -s --basetemp build/chaos tests/chaos

soak: setup ## the road for hours, and what grows: make soak FOR=7200 (seconds), RATE=2000 (frames a second), SEED=1; build/soak has table, CSV, plot
	mkdir -p build/soak
	WSADAPTER_SOAK=$(or $(FOR),7200) WSADAPTER_RATE=$(or $(RATE),2000) WSADAPTER_SEED=$(or $(SEED),0) WSADAPTER_DEEDS='$(DEEDS)' \
	  $(BIN)/pytest -q -s --basetemp build/soak/run tests/chaos/test_soak.py

sanitize: setup ## the C extension under AddressSanitizer and UBSan, with what is fed to it in the tests (needs gcc and its libraries)
	rm -rf build/sanitized
	CFLAGS="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -O1 -g" \
	  $(BIN)/python setup.py -q build --build-base build/sanitized --build-lib build/sanitized/lib
	PYTHONPATH=build/sanitized/lib PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
	  LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
	  $(BIN)/pytest -q -n 0 -p no:cacheprovider -k "not memory_is_given_back" tests/native tests/shm tests/exchanges \
	  tests/events tests/kafka tests/reader/test_reader_decoding.py tests/archives/test_archive_lines.py

setup: .venv/.installed

.venv/.installed: constraints.txt pyproject.toml setup.py $(wildcard wsadapter/native/*.c wsadapter/native/*.h)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "wsadapter needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup ## build/site: the pages of docs/ as a site that asks no other host; a warning (a link, an anchor) fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: setup
	$(BIN)/python -m bench $(if $(QUICK),--quick)

proto: setup ## regenerate wsadapter/pb from proto/
	PATH=$(BIN):$$PATH $(BIN)/python -m grpc_tools.protoc -I proto --python_out=$(PB) --mypy_out=$(PB) proto/wsadapter/v1/market.proto
	mv $(PB)/wsadapter/v1/market_pb2.py* $(PB)/ && rmdir -p $(PB)/wsadapter/v1 2>/dev/null || true

reference: setup ## write the pages of docs/ that are made from the code
	PYTHONPATH=tests $(BIN)/python -m documents.reference

constraints: setup ## pin every dependency again, with hashes: of a clone, and (deploy/) of an installation
	$(BIN)/pip install --quiet pip-tools
	$(BIN)/pip-compile $(COMPILE) --extra embedded --extra dev --extra docs -o constraints.txt pyproject.toml
	$(BIN)/pip-compile $(COMPILE) -c constraints.txt -o deploy/constraints.txt pyproject.toml

COMPILE := --quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-find-links --no-header \
  --no-annotate

wheel: setup ## dist/: the wheel, and the hashed constraints of what it needs
	rm -rf dist build/lib*
	$(BIN)/pip wheel --quiet --no-deps --no-build-isolation -w dist .
	cp deploy/constraints.txt dist/

messages: setup ## dist/: the wheel of the Kafka messages alone, wsadapter-messages (needs protobuf, nothing else)
	rm -rf proto/build
	$(BIN)/pip wheel --quiet --no-deps --no-build-isolation -w dist ./proto

TOOLS := build/tools/bin
build/tools/bin/pip-audit:
	$(PYTHON) -m venv build/tools
	$(TOOLS)/pip install --quiet --disable-pip-version-check pip-audit==2.10.1 cyclonedx-bom==7.5.0

pip-audit: build/tools/bin/pip-audit ## known vulnerabilities of what an installation has; asks its database on the network
	@$(TOOLS)/pip-audit --strict --require-hashes --disable-pip -r deploy/constraints.txt || { \
	  echo "Not clean, or not checked: 'could not be audited' and time-outs mean that its database is out of" \
	    "reach from here, and nothing is known."; exit 1; }

sbom: build/tools/bin/pip-audit ## dist/wsadapter.cdx.json: what an installation consists of, CycloneDX; asks nobody
	mkdir -p dist
	PYTHONWARNINGS=ignore $(TOOLS)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --output-format JSON \
	  -o dist/wsadapter.cdx.json deploy/constraints.txt

clean:
	rm -rf .venv build dist *.egg-info wsadapter/native/*.so
