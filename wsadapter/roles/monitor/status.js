"use strict";
// The status page: asks /status/now once a second and patches what is there. Everything shown is set as text, never as
// markup. A row keeps its element, so focus, selection and scrolling stay; a table in which the reader has one of these
// keeps its order, too.
const byId = id => document.getElementById(id);
const count = n => n == null ? "" : Math.round(n).toLocaleString("en");
const perSecond = n => n == null ? "" : (n < 10 ? n.toFixed(1) : count(n)) + "/s";
const percent = x => (100 * x).toFixed(x < .1 ? 1 : 0) + " %";
const bytes = n => n == null ? "" : n < 1048576 ? (n / 1024).toFixed(0) + " KiB"
  : n < 1073741824 ? (n / 1048576).toFixed(1) + " MiB" : (n / 1073741824).toFixed(1) + " GiB";
const span = x => x == null ? "never" : x < 10 ? x.toFixed(1) + " s" : x < 60 ? x.toFixed(0) + " s"
  : x < 3600 ? Math.floor(x / 60) + " min " + Math.floor(x % 60) + " s"
  : x < 172800 ? (x / 3600).toFixed(1) + " h" : (x / 86400).toFixed(1) + " d";
const clock = seconds => new Date(seconds * 1000).toISOString().slice(11, 19);
const when = (seconds, now) => (now - seconds > 72000 ? new Date(seconds * 1000).toISOString().slice(0, 10) + " " : "")
  + clock(seconds);
const sum = (list, of) => list.reduce((total, x) => total + (of(x) || 0), 0);
const pairs = map => Object.entries(map).map(([k, v]) => k + " " + count(v)).join(", ");
const plural = (n, word) => count(n) + " " + word + (n === 1 ? "" : "s");

const STATES = ["requested", "acked", "live", "stale", "refused"];
const GOOD = new Set(["running", "live", "acked", "up"]), BAD = new Set(["down", "refused", "paused"]);
const tone = word => GOOD.has(word) ? "good" : BAD.has(word) ? "bad" : "mid";
const rank = { bad: 0, mid: 1, good: 2 };
const state = word => ({ text: word, css: tone(word) });
const num = (n, show = count) => ({ text: n == null && show === count ? "" : show(n), css: "n" });
const NEWEST = 10;  // gaps and errors that are shown; /status has more
const LATE_SECONDS = 60;  // behind which tables are a problem, although all is well with who fills them
const SYMBOLS = 20;  // whose last hour is shown
const STEP = 100;  // subscriptions that are drawn at once: a browser stays quick with thousands behind them
let shown = STEP, subscriptions = { layout: "", subscriptions: [] }, last = null;
let hour = { until: 0, symbols: [] }, turn = 0;

function setText(element, text) { if (element.textContent !== text) element.textContent = text; }
function setClass(element, css) { if (element.className !== css) element.className = css; }

/** Rates over the time since the answer before; the same until the next one. */
const rates = { at: 0, values: new Map(), next: new Map(), found: new Map() };
function rate(key, value, at) {
  if (at > rates.at) {
    const old = rates.values.get(key);
    rates.next.set(key, value);
    rates.found.set(key, old === undefined ? null : Math.max(0, value - old) / (at - rates.at));
  }
  return rates.found.get(key) ?? null;
}
function turnRates(at) { rates.values = rates.next; rates.next = new Map(); rates.at = at; }

function isHeld(element) {
  const selection = document.getSelection();
  return element.contains(document.activeElement)
    || (selection && !selection.isCollapsed && selection.containsNode(element, true));
}

const FILL = ["unknown", "good", "bad"];  // of a minute: not seen, recorded, not recorded; all else is in part
function patchStrip(box, { strip, label }) {
  const bar = box.firstChild ?? box.appendChild(document.createElement("div"));
  if (bar.dataset.strip === strip && bar.ariaLabel === label) return;
  bar.dataset.strip = strip; bar.role = "img"; bar.ariaLabel = bar.title = label;
  const stops = [...strip].map((digit, i) => `var(--${FILL[digit] ?? "mid"}-fill) ${100 * i / strip.length}% `
    + `${100 * (i + 1) / strip.length}%`);
  bar.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
}

/** rows: [key, cells, tone]; a cell is a text, {text, css} or {strip, label}. Problems first. */
function patchTable(id, caption, heads, rows) {
  const grid = byId(id);
  if (!grid.caption) {
    grid.createCaption().textContent = caption;
    const line = grid.createTHead().insertRow();
    for (const name of heads) {
      const th = document.createElement("th");
      th.scope = "col"; th.textContent = name; line.append(th);
    }
    grid.createTBody(); grid.known = new Map();
  }
  grid.hidden = !rows.length;
  const body = grid.tBodies[0], known = grid.known, keep = new Set();
  rows = rows.map((row, i) => [...row, i]).sort((a, b) => rank[a[2]] - rank[b[2]] || a[3] - b[3]);
  for (const [key, cells] of rows) {
    keep.add(key);
    let line = known.get(key);
    if (!line) {
      line = document.createElement("tr");
      cells.forEach((cell, i) => {
        const box = document.createElement(i ? "td" : "th");
        if (i) box.dataset.label = heads[i]; else box.scope = "row";
        line.append(box);
      });
      known.set(key, line); body.append(line);
    }
    cells.forEach((cell, i) => {
      if (cell.strip) patchStrip(line.children[i], cell);
      else setText(line.children[i], String(cell.text ?? cell));
      setClass(line.children[i], cell.css ?? "");
    });
  }
  for (const [key, line] of known) if (!keep.has(key)) { line.remove(); known.delete(key); }
  rows[0]?.[1].forEach((cell, i) => setClass(grid.tHead.rows[0].children[i], cell.css === "n" ? "n" : ""));
  if (isHeld(body)) return;
  rows.forEach(([key], i) => {
    const line = known.get(key);
    if (body.rows[i] !== line) body.insertBefore(line, body.rows[i] ?? null);
  });
}

function patchList(list, texts) {
  while (list.children.length > texts.length) list.lastChild.remove();
  texts.forEach((text, i) => setText(list.children[i] ?? list.appendChild(document.createElement("li")), text));
}

/** hops: [name, tone, headline, lines, fill, what is filled]. */
function patchPipeline(hops) {
  const list = byId("pipeline");
  hops.forEach(([name, css, headline, lines, fill, filled], i) => {
    let box = list.children[i];
    if (!box) {
      box = list.appendChild(document.createElement("li"));
      box.append(document.createElement("h3"), document.createElement("strong"), document.createElement("div"));
    }
    const [title, strong, text] = box.children;
    setClass(box, css); setText(title, name); setText(strong, headline);
    while (text.children.length > lines.length) text.lastChild.remove();
    lines.forEach((line, j) => {
      const part = text.children[j] ?? text.appendChild(document.createElement("span"));
      setText(part, line.text ?? line); setClass(part, line.css ?? "");
    });
    let meter = box.querySelector("meter");
    if (fill == null) { meter?.remove(); return; }
    if (!meter) {
      meter = document.createElement("meter");
      meter.max = 1; meter.low = .25; meter.high = .5; meter.optimum = 0; box.append(meter);
    }
    meter.value = fill; meter.setAttribute("aria-label", filled); meter.title = `${filled}: ${percent(fill)}`;
  });
}

function verdict(s) {
  const stopping = s.children.some(c => c.role === "supervisor" && c.state === "stopping");
  const word = stopping ? "stopping" : s.ready ? "ready" : "not ready";
  const since = s.ready ? s.ready_since : s.not_ready_since;
  // announced when the verdict changes, not each second: so the time of day, and how long ago beside it
  setText(byId("verdict"), since ? `${word} since ${when(since, s.time)} UTC` : word);
  setClass(byId("verdict"), stopping ? "mid" : s.ready ? "good" : "bad");
  setText(byId("about"), (since ? `for ${span(s.time - since)}; ` : "") + `instance ${s.instance}, up ` +
    `${span(s.supervisor.uptime_seconds ?? 0)}, version ${s.version}, process ${s.supervisor.pid}, ` +
    `Kafka ${s.supervisor.kafka}, ClickHouse ${s.supervisor.clickhouse}; ${clock(s.time)} UTC`);
  document.title = (s.ready ? "" : "\u26a0 ") + word + " - wsadapter";
}

const endpoint = c => c.clickhouse_endpoints.find(e => e.in_use)?.endpoint ?? "";

function problems(s) {
  const found = [...s.reasons];
  for (const c of s.consumers.filter(c => c.clickhouse_up)) for (const e of c.clickhouse_endpoints.filter(e => !e.up))
    found.push(`${c.name}: ${e.reason}; in use: ${endpoint(c)}`);
  if (s.spool.records) found.push(`${plural(s.spool.records, "record")} on the spool, ${bytes(s.spool.bytes)}` +
    (s.spool.seconds_left == null ? "" : `: full in ${span(s.spool.seconds_left)} at this rate`));
  if (s.open_gaps.count) found.push(`${plural(s.open_gaps.count, "gap")} open, the longest since ` +
    `${when(s.open_gaps.gaps[0].since, s.time)} UTC`);
  if (s.lag_seconds > LATE_SECONDS) found.push(`tables are ${span(s.lag_seconds)} behind Kafka`);
  const dropped = sum(s.flow, f => f.dropped), rejected = sum(s.flow, f => f.rejected);
  if (dropped) found.push(`${plural(dropped, "event")} dropped since the start: rings were full`);
  if (rejected) found.push(`${plural(rejected, "row")} rejected by ClickHouse since the start: table rejected`);
  if (s.totals.dead_letters) found.push(`${plural(s.totals.dead_letters, "dead letter")} since the start`);
  patchList(byId("reasons"), found);
  setClass(byId("reasons"), s.ready ? "mid" : "bad");
  byId("no-problem").hidden = found.length > 0;
}

function pipeline(s) {
  const up = s.connections.filter(c => c.up).length, all = s.connections.length, venue = s.flow.filter(f => !f.ours);
  const ring = s.rings.reduce((most, r) => r.fill > most.fill ? r : most, { fill: 0, connection: "" });
  const flow = name => rate("flow " + name, sum(venue, f => f[name]), s.time);
  const frames = rate("frames", sum(s.connections, c => c.frames), s.time);
  const states = [...s.states].map(digit => STATES[digit] ?? "?");
  const odd = states.filter(word => !GOOD.has(word)).length;
  const kafka = [...s.serializers, ...s.consumers], kafkaUp = kafka.every(k => k.broker_up);
  const tablesUp = s.consumers.every(c => c.clickhouse_up), lag = s.totals.lag;
  const paused = s.consumers.flatMap(c => c.paused);
  const used = sum(s.rings, r => r.used_bytes), spool = s.spool;
  patchPipeline([
    ["Venues", up < all || states.includes("refused") ? "bad" : odd ? "mid" : "good", perSecond(frames) || "...", [
      "frames", { text: `${up} of ${all} connections up`, css: up < all ? "bad" : "" },
      { text: odd ? `${odd} of ${states.length} subscriptions not live` : plural(states.length, "subscription"),
        css: odd ? "mid" : "" }]],
    ["Rings", ring.fill > .5 ? "bad" : ring.fill > .25 ? "mid" : "good", perSecond(flow("events")) || "...", [
      "events", `${percent(ring.fill)} full at most` + (ring.fill > .01 ? `, ${ring.connection}` : ""),
      `${bytes(used)} wait`], ring.fill, "Fill of the fullest ring"],
    ["Spool", spool.records ? "mid" : "good", bytes(spool.bytes), [
      spool.records ? plural(spool.records, "record") : "empty",
      spool.seconds_left == null ? `of ${bytes(spool.max_bytes)}`
        : { text: `full in ${span(spool.seconds_left)} at this rate`, css: "mid" }],
      spool.max_bytes ? spool.bytes / spool.max_bytes : 0, "Fill of the spool"],
    ["Kafka", kafkaUp ? "good" : "bad", perSecond(flow("in_kafka")) || "...", [
      "events delivered", { text: kafkaUp ? "up" : "does not answer", css: kafkaUp ? "" : "bad" },
      `${count(sum(s.serializers, p => p.outstanding))} outstanding`]],
    ["ClickHouse", !tablesUp || paused.length ? "bad" : lag !== 0 && !(s.lag_seconds < LATE_SECONDS) ? "mid" : "good",
      perSecond(flow("rows")) || "...", [
      "rows", { text: paused.length ? "paused: " + paused.join(" ") : tablesUp ? "up" : "does not answer",
        css: tablesUp && !paused.length ? "" : "bad" },
      lag == null ? { text: "lag unknown", css: "mid" } : s.lag_seconds == null
        ? { text: `${plural(lag, "message")} behind, none is consumed`, css: "mid" }
        : `${span(s.lag_seconds)} behind (${plural(lag, "message")})`]],
  ]);
}

const HOPS = { venue_to_receive: "venue to receipt", receive_to_delivered: "receipt to Kafka",
  delivered_to_inserted: "Kafka to ClickHouse" };
const late = x => x == null ? "over 5 min" : x < 1 ? `${(x * 1000).toFixed(x < .01 ? 1 : 0)} ms` : span(x);

function latency(s) {
  setText(byId("latency-note"), s.latency.length ? "of samples of the last minute" : "no event was measured yet");
  patchTable("latency", "How late events are, hop by hop", ["hop", "exchange", "median", "99 %", "clock of the venue"],
    s.latency.map(l => [l.hop + " " + l.exchange, [HOPS[l.hop] ?? l.hop, l.exchange || "all",
      num(l.p50_seconds, late), num(l.p99_seconds, late), l.hop !== "venue_to_receive" ? ""
        : l.clock_error_seconds == null ? { text: "not known", css: "dim" }
        : `${l.clock_offset_seconds < 0 ? "behind" : "ahead"} by ${late(Math.abs(l.clock_offset_seconds))}, `
          + `\u00b1 ${late(l.clock_error_seconds)}`], "good"]));
}

function gapsAndErrors(s) {
  const open = s.open_gaps;
  const some = (all, name) => all > NEWEST ? `${count(all)}, the ${NEWEST} ${name} are shown` : all ? "" : "none";
  setText(byId("gaps-note"), some(open.count, "longest")
    + (open.to_repair ? `; ${plural(open.to_repair, "gap")} ended, being repaired` : ""));
  patchTable("gaps", "Gaps that last now, the longest first", ["connection", "about", "cause", "since", "for"],
    open.gaps.slice(0, NEWEST).map(g => [g.connection + " " + g.subscription + " " + g.exchange, [g.connection,
      g.subscription ? [g.symbol, g.stream].filter(x => x).join(" ") || g.subscription : "the whole connection",
      g.cause, when(g.since, s.time), num(s.time - g.since, span)], "bad"]));
  setText(byId("errors-note"), s.errors.length ? some(s.errors.length, "newest") : "none since the monitor started");
  patchTable("errors", "Last errors, the newest first", ["last", "process", "what", "which", "how many"],
    s.errors.slice(0, NEWEST).map(e => [e.name + " " + e.metric + " " + e.labels,
      [when(e.time, s.time), e.name, e.what, e.labels, num(e.count)], "mid"]));
}

/** Whether the filter lets something through that is called so and is so well. */
function filter() {
  const words = byId("filter").value.toLowerCase().split(/\s+/).filter(x => x), only = byId("only-problems").checked;
  return (text, css) => words.every(word => text.toLowerCase().includes(word)) && !(only && css === "good");
}

function lastHour() {
  const wanted = filter(), rows = hour.symbols.map(([exchange, symbol, strip]) => {
    const digits = [...strip], of = digit => digits.filter(x => x === digit).length;
    const recorded = of("1"), out = of("2"), unseen = of("0"), part = digits.length - recorded - out - unseen;
    const css = out ? "bad" : part ? "mid" : "good", name = symbol || "all symbols";
    const label = `${exchange} ${name}: ${plural(recorded, "minute")} recorded, ${part} in part, ${out} not recorded, `
      + `${unseen} not seen`;
    return [exchange + " " + symbol, [name, exchange, { strip, label, css: "strip" }, num(recorded), num(part),
      num(out), num(unseen)], css, -out, -part];
  });
  const matches = rows.filter(([key, , css]) => wanted(key, css));
  matches.sort((a, b) => a[3] - b[3] || a[4] - b[4]);
  const worse = matches.filter(row => row[2] !== "good").length, visible = matches.slice(0, SYMBOLS);
  setText(byId("hour-note"), `${plural(rows.length, "symbol")}, ${worse ? count(worse) + " not whole" : "all whole"}`
    + (hour.until ? `, until ${clock(hour.until).slice(0, 5)} UTC` : "")
    + (matches.length > visible.length ? `; the first ${visible.length} are shown, the filter finds the others` : ""));
  patchTable("hour", "The last 60 minutes of each symbol, problems first",
    ["symbol", "exchange", "last 60 minutes", "recorded", "in part", "not", "not seen"], visible);
}

function connections(s) {
  const wanted = filter();
  const fill = new Map(s.rings.map(r => [r.connection, r.fill]));
  const rows = subscriptions.layout === s.layout ? subscriptions.subscriptions : [], matches = [], matching = new Set();
  rows.forEach(([connection, exchange, name, stream, symbol], i) => {
    const word = STATES[s.states[i]] ?? "state " + s.states[i], css = tone(word);
    if (!wanted([connection, exchange, name, stream, symbol, word].join(" "), css)) return;
    matching.add(connection);
    const age = i in s.ages ? num(s.ages[i], span) : { text: "< 10 s", css: "n" };
    matches.push([i, connection + " " + exchange + " " + name, css,
      [name, symbol, stream, connection, { text: word, css }, age]]);
  });
  matches.sort((a, b) => rank[a[2]] - rank[b[2]] || a[0] - b[0]);
  const visible = matches.slice(0, shown);
  byId("more").hidden = matches.length <= visible.length;
  setText(byId("subscriptions-note"), (matches.length === rows.length ? count(rows.length)
    : `${count(matches.length)} of ${count(rows.length)}`) + (byId("more").hidden ? "" : `, ${visible.length} shown`));
  patchTable("subscriptions", "Subscriptions, problems first",
    ["subscription", "symbol", "stream", "connection", "state", "last frame"],
    visible.map(([, key, css, cells]) => [key, cells, css]));
  patchTable("connections", "Connections, problems first",
    ["connection", "state", "frames/s", "frames", "last frame", "ring", "reconnects", "bad", "gaps", "dropped"],
    s.connections.map(c => [c, c.up ? "up" : "down", rate("frames " + c.connection, c.frames, s.time)])
      .filter(([c, word]) => matching.has(c.connection)
        || wanted(c.connection + " " + c.exchange + " " + word, tone(word)))
      .map(([c, word, frames]) => [c.connection, [c.connection, state(word), num(frames), num(c.frames),
        num(c.last_receive_age_seconds, span), num(fill.get(c.connection) ?? 0, percent), num(c.reconnects),
        num(c.decode_errors), num(c.gaps), num(c.dropped)], tone(word)]));
}

function details(s) {
  patchTable("flow", "Events by stream",
    ["stream", "events/s", "events", "in Kafka", "rows", "open candles", "rejected", "dropped"],
    s.flow.map(f => [f.stream, [f.stream, num(rate("stream " + f.stream, f.events, s.time)), num(f.events),
      num(f.in_kafka), num(f.rows), num(f.open_candles || null), num(f.rejected), num(f.dropped)],
      f.rejected || f.dropped ? "bad" : "good"]));
  patchTable("serializers", "Serializers",
    ["serializer", "Kafka", "outstanding", "spool records", "spool", "produced", "delivered", "dead letters"],
    s.serializers.map(p => [p.name, [p.name, state(p.broker_up ? "up" : "down"), num(p.outstanding),
      num(p.spool_records), num(p.spool_bytes, bytes), num(p.produced), num(p.delivered), num(p.dead_letters)],
      p.broker_up ? "good" : "bad"]));
  patchTable("consumers", "Consumers", ["consumer", "Kafka", "ClickHouse", "endpoint", "inserts", "retries", "lag", "paused"],
    s.consumers.map(c => [c.name, [c.name, state(c.broker_up ? "up" : "down"), state(c.clickhouse_up ? "up" : "down"),
      endpoint(c), num(c.inserts), num(c.insert_retries),
      [pairs(c.lag), ...c.lag_unknown.map(n => n + " ?")].filter(x => x).join(", ") || "0",
      { text: c.paused.join(" "), css: "bad" }], c.broker_up && c.clickhouse_up && !c.paused.length ? "good" : "bad"]));
  patchTable("repair", "Hosts that are asked for what is missing",
    ["host", "weight", "of", "paused", "queue", "requests", "limited", "failed"],
    s.repairers.flatMap(r => r.hosts.map(h => [r.name + " " + h.host, [h.host, num(h.weight_used), num(h.weight_limit),
      num(h.paused_seconds, span), num(h.queue), num(h.requests), num(h.limited + h.banned), num(h.failed)],
      h.paused_seconds ? "mid" : "good"])));
  patchTable("processes", "Processes, problems first",
    ["process", "role", "state", "restarts", "pid", "heartbeat", "memory", "rings", "CPUs", "nice", "locked"],
    s.children.map(c => [c.role + " " + c.name, [c.name, c.role,
      { text: c.state + (c.stage ? ", " + c.stage : ""), css: tone(c.state) }, num(c.restarts),
      num(c.pid, n => n == null ? "" : String(n)), num(c.heartbeat_age_seconds, x => x == null ? "" : span(x)),
      num(c.private_bytes, bytes), num(c.shared_bytes || null, bytes), c.cpus == null ? "" : c.cpus.join(" "),
      num(c.nice, n => n == null ? "" : String(n)), num(c.locked_bytes || null, bytes)], tone(c.state)]));
}

function show(s) {
  last = s;
  verdict(s); problems(s); pipeline(s); latency(s); gapsAndErrors(s); lastHour(); connections(s); details(s);
  turnRates(s.time);
}

async function ask(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(5000) });
  if (!answer.ok) throw new Error(path + " " + answer.status);
  return answer.json();
}

async function poll() {
  try {
    const s = await ask("status/now");
    if (turn++ % 10 === 0) hour = await ask("status/hour");
    if (s.layout !== subscriptions.layout) subscriptions = await ask("status/subscriptions");
    show(s);
  } catch (error) {
    setText(byId("verdict"), `no answer from the monitor (${error.message})`
      + (last ? `; what follows is of ${clock(last.time)} UTC` : ""));
    setClass(byId("verdict"), "bad");
    document.title = "\u26a0 no answer - wsadapter";
  }
  setTimeout(poll, 1000);
}

function refilter() { if (last) { lastHour(); connections(last); } }
byId("filter").addEventListener("input", () => { shown = STEP; refilter(); });
byId("only-problems").addEventListener("change", () => { shown = STEP; refilter(); });
byId("more").addEventListener("click", () => { shown += STEP; refilter(); });
poll();
