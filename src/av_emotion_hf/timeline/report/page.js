// State of the page: the time, the part that is shown, the player, and what people do.

const media = byId("media"), timelineBox = byId("timeline"), axisBox = byId("axis-box");
const state = { time: 0, start: 0, end: duration, mode: "stacked", follow: true, page: 0, who: "" };
const SHORTEST = Math.min(duration, Math.max(2, 4 * data.hop));
const lanes = [...document.querySelectorAll(".lane .plot")];
const kinds = troubles();
let scale = new Scale(timelineBox.clientWidth, 0, duration);

// hatches, used by every SVG of the page
const patterns = drawn("defs", {}, drawn("svg", { width: 0, height: 0, "aria-hidden": "true", class: "hidden-label" }, document.body));
for (const [id, step, angle] of [["hatch", 5, 45], ["stripes", 6, -45]]) {
  const size = { id, width: step, height: step, patternUnits: "userSpaceOnUse", patternTransform: `rotate(${angle})` };
  const pattern = drawn("pattern", size, patterns);
  drawn("rect", { width: step, height: step, class: `${id}-back` }, pattern);
  drawn("rect", { width: step / 2.4, height: step, class: `${id}-line` }, pattern);
}

// ---- drawing

let drawnWidth = 0;
function draw() {
  const isResized = drawnWidth !== timelineBox.clientWidth;
  drawnWidth = timelineBox.clientWidth;
  scale = new Scale(drawnWidth, state.start, state.end);
  if (isResized) drawStrips();
  for (const svg of lanes) {
    const drawing = new Drawing(svg, scale), { person, signal } = svg.closest(".lane").dataset;
    if (person !== undefined) {
      drawBand(drawing, tracks[person]);
      if (tracks[person].runs.length) drawScores[state.mode](drawing, tracks[person]);
      drawShares(drawing, tracks[person]);
    } else if (signal === "quality") drawTroubles(drawing, kinds);
    else drawSignal(drawing, signal, signal, signal === "loudness" ? "dB" : "Hz");
    drawing.finish();
  }
  drawTimeAxis(byId("axis"), scale);
  drawFrame();
  byId("zoom-out").disabled = byId("zoom-all").disabled = state.end - state.start >= duration - 1e-6;
  byId("zoom-in").disabled = state.end - state.start <= SHORTEST + 1e-6;
  moveCursor();
}

const overviewHeight = persons.length * 11 + 2;

/** The whole clip in small, a strip for each person; drawn anew only when the width changes. */
function drawStrips() {
  const svg = byId("overview"), whole = new Scale(drawnWidth, 0, duration), strip = 9;
  svg.replaceChildren();
  svg.setAttribute("height", overviewHeight);
  persons.forEach((_, person) => {
    const top = 2 + person * (strip + 2);
    drawn("text", { x: whole.left - 8, y: top + strip, "text-anchor": "end" }, svg, shortened(names[person]));
    drawn("rect", { class: "plate", x: whole.left, y: top, width: whole.width, height: strip }, svg);
    let last = -1;
    for (const one of tracks[person].segments) {
      const x = whole.x(one.start), right = whole.x(one.end);
      if (one.emotion === null || right < last + 0.35) continue; // too short to be seen
      last = right;
      const hatched = one.emotion === labels.length ? " uncertain" : "";
      drawn("rect", { class: `segment emotion-${one.emotion}${hatched}`, x: round(x), y: top, width: Math.max(round(right - x), 0.5), height: strip }, svg);
    }
  });
  drawn("g", {}, svg);
  drawn("line", { class: "cursor", y1: 0, y2: overviewHeight, x1: -9, x2: -9 }, svg);
}

/** The frame around the part that is shown. */
function drawFrame() {
  const svg = byId("overview"), whole = new Scale(drawnWidth, 0, duration), height = overviewHeight;
  const frame = svg.querySelector("g");
  frame.replaceChildren();
  svg.toggleAttribute("hidden", state.end - state.start >= duration - 1e-6 && duration < 180);
  const [left, right] = [whole.x(state.start), whole.x(state.end)], end = whole.left + whole.width;
  drawn("rect", { class: "overview-shade", x: whole.left, y: 0, width: left - whole.left, height }, frame);
  drawn("rect", { class: "overview-shade", x: right, y: 0, width: Math.max(end - right, 0), height }, frame);
  drawn("rect", { class: "overview-window", x: left + 0.75, y: 0.75, width: Math.max(right - left - 1.5, 3), height: height - 1.5, rx: 3 }, frame);
}

let frame = 0;
function drawSoon() {
  frame ||= requestAnimationFrame(() => {
    frame = 0;
    draw();
  });
}

function moveCursor() {
  const x = scale.x(state.time), isInside = state.time >= state.start - 1e-6 && state.time <= state.end + 1e-6;
  const place = isInside ? Math.min(x, scale.left + scale.width) : -99;
  for (const line of timelineBox.querySelectorAll(".lane .cursor")) {
    line.setAttribute("x1", place);
    line.setAttribute("x2", place);
  }
  timelineBox.querySelector(".cursor-head").setAttribute("transform", `translate(${place} 0)`);
  const whole = new Scale(drawnWidth, 0, duration).x(state.time), mark = byId("overview").querySelector(".cursor");
  mark?.setAttribute("x1", whole);
  mark?.setAttribute("x2", whole);
}

// ---- the time

const playable = () => media.readyState >= 1; // its length is known

function setTime(time, isFromMedia = false) {
  state.time = Math.min(Math.max(time, 0), duration);
  if (!isFromMedia && playable()) media.currentTime = Math.min(state.time, media.duration || state.time);
  if (state.follow && isFromMedia && !media.paused && (state.time < state.start || state.time > state.end)) {
    show(state.time, state.time + state.end - state.start);
  }
  moveCursor();
  showNow();
}

let spoken = "", spokenAt = 0;
function showNow() {
  byId("now-time").textContent = clock(state.time);
  const said = [];
  persons.forEach((_, person) => {
    const row = rowAt(person, state.time), segment = segmentAt(person, state.time), view = nowViews[person];
    const emotion = segment?.emotion ?? null, text = emotion === null ? "not seen or heard" : emotions[emotion];
    said.push(`${names[person]}: ${text}`);
    if (view.row === row && view.emotion === emotion) return;
    [view.row, view.emotion] = [row, emotion];
    view.swatch.className = emotion === null ? "swatch gap-swatch" : `swatch emotion-${emotion}`;
    view.swatch.classList.toggle("uncertain-swatch", emotion === labels.length);
    view.text.textContent = text;
    const isKnown = row >= 0 && isScored(row);
    const best = isKnown ? labels.map((_, i) => i).sort((a, b) => scores[b][row] - scores[a][row]).slice(0, 3) : [];
    view.bars.replaceChildren();
    for (const label of best) {
      element("span", {}, view.bars, labels[label]);
      const bar = drawn("svg", { class: "bar", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" }, view.bars);
      drawn("rect", { class: "bar-back", width: 100, height: 10 }, bar);
      drawn("rect", { class: `fill emotion-${label}`, width: 100 * scores[label][row], height: 10 }, bar);
      element("span", { class: "numbers" }, view.bars, scores[label][row].toFixed(2));
    }
  });
  const text = said.join("; ");
  axisBox.setAttribute("aria-valuenow", state.time.toFixed(1));
  axisBox.setAttribute("aria-valuetext", `${clock(state.time)}. ${text}`);
  // while it plays, only what changes is said, and not more often than one can listen to
  if (text !== spoken && (media.paused || performance.now() - spokenAt > 2000)) {
    [spoken, spokenAt] = [text, performance.now()];
    byId("live").textContent = `${clock(state.time, 0)}. ${text}`;
  }
  markRow();
}

const nowViews = persons.map((_, person) => {
  const box = element("div", { class: "now-person", "data-person": person }, byId("now"));
  const head = element("div", { class: "now-name" }, box);
  element("b", {}, head, names[person]);
  const value = element("span", {}, head), swatch = element("span", { class: "swatch" }, value);
  return { swatch, text: element("span", { class: "now-emotion" }, value), bars: element("div", { class: "now-bars" }, box), row: null };
});

// ---- the part that is shown

function show(start, end) {
  const span = Math.min(Math.max(end - start, SHORTEST), duration);
  state.start = Math.min(Math.max(start, 0), duration - span);
  state.end = state.start + span;
  drawSoon();
}

function zoom(factor, at = state.time) {
  const middle = at >= state.start && at <= state.end ? at : (state.start + state.end) / 2;
  const span = Math.min(Math.max((state.end - state.start) * factor, SHORTEST), duration);
  const fraction = (middle - state.start) / (state.end - state.start);
  show(middle - fraction * span, middle + (1 - fraction) * span);
}

const pan = (fraction) => show(state.start + fraction * (state.end - state.start), state.end + fraction * (state.end - state.start));

// ---- player

const reduced = matchMedia("(prefers-reduced-motion: reduce)");
function step() {
  if (media.paused || media.ended) return;
  setTime(media.currentTime, true);
  requestAnimationFrame(step);
}
media.addEventListener("play", () => !reduced.matches && requestAnimationFrame(step));
for (const event of ["timeupdate", "seeked", "pause", "ended"]) media.addEventListener(event, () => setTime(media.currentTime, true));
media.addEventListener("loadedmetadata", () => {
  byId("no-media").hidden = true;
  media.hidden = false;
  if (state.time) media.currentTime = state.time;
});
media.addEventListener("error", mediaFailed);

let opened = null;
function mediaFailed() {
  const name = opened?.name ?? data.clip;
  byId("no-media-text").textContent = opened
    ? `This browser cannot play “${name}”. Convert it to MP4 with H.264 and AAC, or to WebM, and open that. The timeline works without it.`
    : `The clip “${name}” could not be played: it does not lie where this report expects it, or this browser cannot play its format. ` +
      "The timeline works without it; to play along, open the clip from your disk.";
  byId("no-media").hidden = false;
  media.hidden = true;
}
if (media.error || media.networkState === HTMLMediaElement.NETWORK_NO_SOURCE) mediaFailed();
else if (!media.getAttribute("src")) [byId("no-media").hidden, media.hidden] = [false, true];

byId("open").addEventListener("change", ({ target }) => {
  if (!target.files.length) return;
  if (opened) URL.revokeObjectURL(media.src);
  [opened] = target.files;
  media.src = URL.createObjectURL(opened);
});

function playOrPause() {
  if (!playable()) return;
  if (media.paused) media.play().catch(() => {});
  else media.pause();
}

// ---- mouse and keys

function dragging(target, move) {
  target.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    const moved = (one) => move(one, target.getBoundingClientRect());
    const end = () => {
      target.removeEventListener("pointermove", moved);
      for (const name of ["pointerup", "pointercancel"]) target.removeEventListener(name, end);
    };
    target.setPointerCapture(event.pointerId);
    target.addEventListener("pointermove", moved);
    for (const name of ["pointerup", "pointercancel"]) target.addEventListener(name, end);
    moved(event);
  });
}
for (const svg of [...lanes, byId("axis")]) {
  dragging(svg, (event, box) => setTime(Math.min(Math.max(scale.time(event.clientX - box.left), state.start), state.end)));
  svg.addEventListener(
    "wheel",
    (event) => {
      if (!event.ctrlKey && !event.metaKey && !event.shiftKey && Math.abs(event.deltaX) <= Math.abs(event.deltaY)) return;
      event.preventDefault();
      if (event.ctrlKey || event.metaKey) zoom(Math.exp(event.deltaY / 300), scale.time(event.clientX - svg.getBoundingClientRect().left));
      else pan((event.deltaX || event.deltaY) / 1000);
    },
    { passive: false },
  );
}
dragging(byId("overview"), (event, box) => {
  const time = new Scale(drawnWidth, 0, duration).time(event.clientX - box.left), half = (state.end - state.start) / 2;
  show(time - half, time + half);
});

const KEYS = {
  " ": playOrPause,
  ArrowLeft: (event) => setTime(state.time - data.hop * (event.shiftKey ? 10 : 1)),
  ArrowRight: (event) => setTime(state.time + data.hop * (event.shiftKey ? 10 : 1)),
  Home: () => setTime(0),
  End: () => setTime(duration),
  "+": () => zoom(0.5),
  "=": () => zoom(0.5),
  "-": () => zoom(2),
  0: () => show(0, duration),
  ",": () => pan(-0.5),
  ".": () => pan(0.5),
};
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
  const { target } = event;
  if (target.closest?.("input, select, textarea, summary, video, audio, .scroll")) return; // have their own keys
  if (event.key === " " && target.closest?.("button, a, label")) return;
  event.preventDefault();
  KEYS[event.key](event);
  if (state.time < state.start || state.time > state.end) show(state.time - (state.end - state.start) / 2, state.time + (state.end - state.start) / 2);
});
byId("zoom-in").addEventListener("click", () => zoom(0.5));
byId("zoom-out").addEventListener("click", () => zoom(2));
byId("zoom-all").addEventListener("click", () => show(0, duration));
byId("follow").addEventListener("click", ({ target }) => {
  state.follow = !state.follow;
  target.setAttribute("aria-pressed", String(state.follow));
});
for (const button of document.querySelectorAll("[data-mode]")) {
  button.addEventListener("click", () => {
    state.mode = button.dataset.mode;
    for (const each of document.querySelectorAll("[data-mode]")) each.setAttribute("aria-pressed", String(each === button));
    draw();
  });
}
for (const button of document.querySelectorAll(".face")) button.addEventListener("click", () => setTime(Number(button.dataset.time)));

// the first face of a person is also on its card; the image is in the file once
document.querySelectorAll(".lane.person").forEach((lane, person) => {
  const [first] = lane.querySelectorAll("img"), image = document.querySelectorAll(".card-face")[person];
  if (first) [image.src, image.hidden] = [first.src, false];
});

new ResizeObserver(() => drawnWidth !== timelineBox.clientWidth && drawSoon()).observe(timelineBox);
draw();
showPage(0);
showNow();
