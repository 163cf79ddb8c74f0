"use strict";
// The page of stored candles: asks /stored/series once, and /candles and /book when its reader does. Everything shown is
// set as text, never as markup. What is missing between the candles is shaded in the chart and listed below it.
const byId = id => document.getElementById(id);
const utc = seconds => new Date(seconds * 1000).toISOString().slice(0, 19);
const shown = seconds => utc(seconds).replace("T", " ");
const seconds = text => Date.parse(text + (text.length > 16 ? "Z" : ":00Z")) / 1000;
const say = (id, text, css) => { byId(id).textContent = text; byId(id).className = css ?? ""; };
const CANDLES = 120;
const FILLS = { missing: "#cf222e40", repaired: "#d4a72c40" };
let series = [], found = null, chart = null;

async function ask(path, query) {
  const answer = await fetch(path + "?" + new URLSearchParams(query), { signal: AbortSignal.timeout(8000) });
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.error ?? path + " " + answer.status);
  return told;
}

function chosen() {
  const [exchange, symbol] = byId("series").value.trim().split(/\s+/);
  return series.find(one => one.exchange === exchange && one.symbol === symbol);
}

function options(select, words) {
  const before = select.value;
  select.replaceChildren(...words.map(word => new Option(word, word)));
  if (words.includes(before)) select.value = before;
}

function table(id, caption, heads, rows) {
  const grid = byId(id);
  grid.replaceChildren();
  grid.createCaption().textContent = caption;
  const line = grid.createTHead().insertRow();
  for (const name of heads) {
    const th = document.createElement("th");
    th.scope = "col"; th.textContent = name; line.append(th);
  }
  const body = grid.createTBody();
  for (const [css, ...cells] of rows) {
    const row = body.insertRow();
    row.className = css;
    cells.forEach((cell, i) => { const box = row.insertCell(); box.textContent = cell; box.dataset.label = heads[i]; });
  }
  grid.hidden = !rows.length;
}

/** Shades what is missing, behind the candles: at least two pixels of each. */
function shade(u) {
  const { ctx, bbox } = u;
  ctx.save();
  for (const gap of found.gaps) {
    const left = Math.max(u.valToPos(gap.from, "x", true), bbox.left);
    const right = Math.min(Math.max(u.valToPos(gap.to, "x", true), left + 2), bbox.left + bbox.width);
    if (right <= bbox.left || left >= bbox.left + bbox.width) continue;
    ctx.fillStyle = gap.state === "repaired" ? FILLS.repaired : FILLS.missing;
    ctx.fillRect(left, bbox.top, right - left, bbox.height);
  }
  ctx.restore();
}

/** A body from open to close over the line from low to high; each stands over the middle of its time. */
function draw(u) {
  const { ctx, data } = u, half = found.seconds / 2;
  const width = Math.max(1, (u.valToPos(found.seconds, "x", true) - u.valToPos(0, "x", true)) * .7);
  const style = getComputedStyle(document.documentElement);
  ctx.save();
  ctx.beginPath(); ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height); ctx.clip();
  data[0].forEach((at, i) => {
    const [open, high, low, close] = [1, 2, 3, 4].map(n => u.valToPos(data[n][i], "y", true));
    const x = u.valToPos(at + half, "x", true);
    ctx.fillStyle = style.getPropertyValue(close <= open ? "--good-fill" : "--bad-fill");
    ctx.fillRect(x - .5, high, 1, Math.max(1, low - high));
    ctx.fillRect(x - width / 2, Math.min(open, close), width, Math.max(1, Math.abs(open - close)));
  });
  ctx.restore();
}

/** The time of day, and the day where it is another one than before. */
function label(at, i, ats) {
  const text = shown(at), day = text.slice(0, 10), isNew = !i || shown(ats[i - 1]).slice(0, 10) !== day;
  return found.seconds < 86400 ? text.slice(11, 16) + (isNew ? "\n" + day : "") : text.slice(5, 10);
}

function told(i) {
  if (i == null || !found.candles[i]) return;
  const [at, open, high, low, close, volume] = found.candles[i];
  say("candle", `${shown(at)}  open ${open}  high ${high}  low ${low}  close ${close}  volume ${volume}`, "dim");
}

function plot() {
  chart?.destroy();
  const box = byId("chart"), missing = found.gaps.filter(gap => gap.state !== "repaired").length;
  box.ariaLabel = `${found.candles.length} candles of ${found.exchange} ${found.symbol}, ${found.interval}, from `
    + `${shown(found.from)} to ${shown(found.to)}: ${found.verdict}, ${missing} times something is missing`;
  const axis = { stroke: getComputedStyle(document.body).color, grid: { stroke: "#8884", width: 1 } };
  const columns = [0, 1, 2, 3, 4].map(n => found.candles.map(candle => candle[n]));
  const price = { label: "", paths: () => null, points: { show: false } };
  chart = new uPlot({
    width: box.clientWidth, height: 380, tzDate: at => uPlot.tzDate(new Date(at * 1000), "UTC"),
    legend: { show: false }, cursor: { drag: { setScale: false } },
    scales: { x: { range: () => [found.from, found.to] }, y: { range: (u, low, high) => {
      const lows = Math.min(...columns[3]), highs = Math.max(...columns[2]), room = (highs - lows) * .05 || 1;
      return columns[0].length ? [lows - room, highs + room] : [0, 1];
    } } },
    axes: [{ ...axis, values: (u, ats) => ats.map(label) }, { ...axis, size: 80 }], series: [{}, price, price, price, price],
    hooks: { drawClear: [shade], draw: [draw], setCursor: [u => told(u.cursor.idx)] },
  }, columns, box);
  chart.over.addEventListener("click", () => {
    byId("at").value = utc(Math.round(chart.posToVal(chart.cursor.left, "x")));
    book();
  });
}

async function candles() {
  const one = chosen();
  if (!one) { say("said", "no such series: its exchange and its symbol, as in the list", "bad"); return; }
  options(byId("interval"), one.intervals);
  const until = byId("until").value ? seconds(byId("until").value) : "";
  say("said", "asking ClickHouse");
  try {
    found = await ask("candles", { exchange: one.exchange, symbol: one.symbol, interval: byId("interval").value,
      to: until });
  } catch (error) { say("said", error.message, "bad"); return; }
  const css = found.verdict === "complete" ? "good" : found.verdict === "missing" ? "bad" : "mid";
  say("said", `${found.candles.length} candles, ${found.verdict}`, css);
  plot();
  if (!byId("at").value) byId("at").value = utc(Math.floor(found.to));
  table("gaps", "What is missing of these candles, or was until it was fetched again", ["from", "to", "cause", "state"],
    found.gaps.map(gap => [gap.state === "repaired" ? "mid" : "bad", shown(gap.from), shown(gap.to), gap.cause,
      gap.state]));
  history.replaceState(null, "", "?" + new URLSearchParams({ series: byId("series").value,
    interval: byId("interval").value, until: byId("until").value }));
}

function step(direction) {
  const span = found ? found.seconds * CANDLES : 3600;
  const end = byId("until").value ? seconds(byId("until").value) : Date.now() / 1000;
  byId("until").value = utc(Math.floor(end + direction * span * .8));
  candles();
}

async function book() {
  const one = chosen();
  if (!one || !byId("at").value) return;
  say("book-said", "asking ClickHouse");
  let told;
  try {
    told = await ask("book", { exchange: one.exchange, symbol: one.symbol, at: seconds(byId("at").value) });
  } catch (error) {
    say("book-said", error.message, "bad"); table("book", "", [], []); return;
  }
  const missing = told.gaps.filter(gap => gap.state !== "repaired").length;
  say("book-said", `as of ${shown(told.last)}: the whole book of ${shown(told.snapshot)} and ${told.changes} changes; `
    + `${told.levels[0]} bids, ${told.levels[1]} asks` + (missing ? "; something is missing between: it may be wrong" : ""),
    missing ? "bad" : "good");
  const depth = Math.max(told.bids.length, told.asks.length), none = ["", ""];
  table("book", "The book, the best prices first", ["bid quantity", "bid", "ask", "ask quantity"],
    [...Array(depth).keys()].map(i => {
      const [bid, of] = told.bids[i] ?? none, [offer, size] = told.asks[i] ?? none;
      return ["", of, bid, offer, size];
    }));
}

async function begin() {
  try { series = (await ask("stored/series", {})).series; } catch (error) { say("said", error.message, "bad"); return; }
  const named = one => `${one.exchange} ${one.symbol}`;
  byId("all-series").replaceChildren(...series.map(one => new Option(named(one), named(one))));
  const given = new URLSearchParams(location.search);
  byId("series").value = given.get("series") || (series.length ? named(series[0]) : "");
  options(byId("interval"), chosen()?.intervals ?? []);
  byId("interval").value = given.get("interval") || byId("interval").value;
  byId("until").value = given.get("until") ?? "";
  if (series.length) candles(); else say("said", "nothing is stored yet", "mid");
}

byId("ask").addEventListener("submit", event => { event.preventDefault(); candles(); });
byId("ask-book").addEventListener("submit", event => { event.preventDefault(); book(); });
byId("earlier").addEventListener("click", () => step(-1));
byId("later").addEventListener("click", () => step(1));
byId("series").addEventListener("change", () => options(byId("interval"), chosen()?.intervals ?? []));
addEventListener("resize", () => chart?.setSize({ width: byId("chart").clientWidth, height: 380 }));
begin();
