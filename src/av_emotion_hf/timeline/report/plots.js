// Drawing of lanes. Each lane is an SVG of parts below each other, over one time scale, with names at the left.

const BAND = 26, ROW = 17, STACK = 116, SHARE = 26, SIGNAL = 56, TROUBLE = 15, GUTTER_WIDE = 88, GUTTER_NARROW = 76;
const TICKS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];

/** The scale of the part of the clip that is shown. */
class Scale {
  constructor(width, start, end) {
    this.gutter = width < 520 ? GUTTER_NARROW : GUTTER_WIDE;
    this.left = this.gutter;
    this.width = Math.max(40, width - this.gutter - 1);
    this.start = start;
    this.end = end;
  }
  x(time) {
    return this.left + ((time - this.start) / (this.end - this.start)) * this.width;
  }
  time(x) {
    return this.start + ((x - this.left) / this.width) * (this.end - this.start);
  }
  shows(start, end) {
    return end >= this.start && start <= this.end;
  }
}

const shortened = (name) => (name.length > 13 ? `${name.slice(0, 12)}…` : name);
const round = (number) => Math.round(number * 10) / 10;

/**
 * Points of a run on the scale, `{x, values}`; where several windows fall on a pixel, one point with the mean (or the
 * highest, if `highest`) of each value.
 */
function samples(run, scale, values, highest) {
  const points = [];
  const add = (time, row) => {
    const x = scale.x(time), last = points.at(-1);
    if (last && last.count && Math.floor(x) === Math.floor(last.x)) {
      values.forEach((column, i) => {
        const value = column[row];
        last.values[i] = highest ? Math.max(last.values[i], value) : last.values[i] + (value - last.values[i]) / (last.count + 1);
      });
      last.count++;
    } else points.push({ x, values: values.map((column) => column[row]), count: 1 });
  };
  const first = run.rows[0], last = run.rows.at(-1);
  points.push({ x: scale.x(run.start), values: values.map((column) => column[first]) });
  let [from, to] = [0, run.rows.length]; // windows beyond the part that is shown are left out, but for one on each side
  if (to > 200) {
    from = run.rows.findIndex((row) => center(row) >= scale.start) - 1;
    if (from < 0) from = center(run.rows[0]) >= scale.start ? 0 : to - 1;
    const after = run.rows.findIndex((row) => center(row) > scale.end);
    if (after >= 0) to = after + 1;
  }
  for (const row of run.rows.slice(from, to)) add(center(row), row);
  points.push({ x: scale.x(run.end), values: values.map((column) => column[last]) });
  return points;
}

const path = (points) => "M" + points.map(([x, y]) => `${round(x)} ${round(y)}`).join("L");

/** A lane: clears its SVG and hands out places for parts. */
class Drawing {
  constructor(svg, scale) {
    this.svg = svg;
    this.scale = scale;
    this.y = 0;
    svg.replaceChildren();
    const clip = `clip-${Drawing.count++}`;
    drawn("rect", { x: scale.left, y: 0, width: scale.width, height: 2000 }, drawn("clipPath", { id: clip }, drawn("defs", {}, svg)));
    this.clip = `url(#${clip})`;
    this.back = drawn("g", {}, svg);
    this.names = drawn("g", { "aria-hidden": "true" }, svg);
  }
  static count = 0;

  part(height, name = null, gap = 4) {
    const group = drawn("g", { "clip-path": this.clip }, this.svg), top = this.y;
    if (name !== null) this.name(name, top + height / 2 + 4);
    this.y += height + gap;
    return [group, top];
  }
  name(text, y, attributes = {}) {
    drawn("text", { x: this.scale.left - 8, y, "text-anchor": "end", ...attributes }, this.names, text);
  }
  finish() {
    this.svg.setAttribute("height", Math.max(1, this.y));
    drawn("line", { class: "cursor", y1: 0, y2: this.y, x1: -9, x2: -9 }, this.svg);
  }
}

/** The emotion of a person as a band of named segments. */
function drawBand(drawing, track) {
  const [group, top] = drawing.part(BAND, "emotion"), { scale } = drawing;
  drawn("rect", { class: "gap", x: scale.left + 0.5, y: top + BAND / 2 - 4, width: scale.width - 1, height: 8 }, group);
  for (const one of track.segments) {
    if (one.emotion === null || !scale.shows(one.start, one.end)) continue;
    const x = Math.max(scale.x(one.start), scale.left - 4), right = Math.min(scale.x(one.end), scale.left + scale.width + 4);
    const width = Math.max(right - x, 0.5), isUncertain = one.emotion === labels.length, name = emotions[one.emotion];
    const rect = drawn(
      "rect",
      {
        class: `segment emotion-${one.emotion}${isUncertain ? " uncertain" : ""}`,
        x: round(x), y: top, width: round(Math.max(width - (width > 3 ? 1 : 0), 0.5)), height: BAND,
        rx: width > 8 ? 3 : 0, "data-start": one.start, "data-end": one.end, "data-emotion": name,
      },
      group,
    );
    const value = Number.isNaN(one.confidence) ? "" : one.confidence.toFixed(2);
    drawn("title", {}, rect, `${clock(one.start)} to ${clock(one.end)}: ${name} ${value}`.trim());
    const visible = Math.min(right, scale.left + scale.width) - Math.max(x, scale.left);
    const fitting = [`${name} ${value}`.trim(), name, name.slice(0, 3)].find((text) => text.length * 6.4 + 8 < visible);
    if (fitting) {
      drawn(
        "text",
        {
          class: `${isUncertain ? "on-uncertain" : "on-segment"} emotion-${one.emotion}`,
          x: round(Math.max(x, scale.left) + visible / 2), y: top + BAND / 2 + 4, "text-anchor": "middle",
        },
        group, fitting,
      );
    }
  }
  if (track.segments.some((one) => one.text)) drawTexts(drawing, track);
}

function drawTexts(drawing, track) {
  const [group, top] = drawing.part(ROW, "text"), { scale } = drawing;
  for (const one of track.segments) {
    if (!one.text || !scale.shows(one.start, one.end)) continue;
    const x = Math.max(scale.x(one.start), scale.left), letters = Math.floor((scale.x(one.end) - x - 4) / 5.6);
    if (letters < 2) continue;
    const text = one.text.length > letters ? `${one.text.slice(0, letters - 1)}…` : one.text;
    drawn("title", {}, drawn("text", { class: "in-plot", x: x + 2, y: top + 11 }, group, text), one.text);
  }
}

/** The probabilities of a person: a row for each class, stacked, or as lines. */
const drawScores = {
  rows(drawing, track) {
    labels.forEach((label, number) => {
      const [group, top] = drawing.part(ROW, label, 1), base = top + ROW, { scale } = drawing;
      drawn("line", { class: "base", x1: scale.left, x2: scale.left + scale.width, y1: base, y2: base }, group);
      for (const run of track.runs) {
        if (!scale.shows(run.start, run.end)) continue;
        const points = samples(run, scale, [scores[number]], true).map(({ x, values }) => [x, base - values[0] * (ROW - 1)]);
        const outline = [[points[0][0], base], ...points, [points.at(-1)[0], base]];
        drawn("path", { class: `area emotion-${number}`, d: path(outline) + "Z" }, group);
      }
    });
    drawing.y += 4;
  },
  stacked(drawing, track) {
    const [group, top] = drawing.part(STACK), { scale } = drawing;
    drawAxis(drawing, group, top, STACK, [0, 0.5, 1], (value) => percent(value));
    for (const run of track.runs) {
      if (!scale.shows(run.start, run.end)) continue;
      const points = samples(run, scale, scores, false);
      let below = points.map(() => 0);
      labels.forEach((_, number) => {
        const above = points.map(({ values }, i) => below[i] + values[number]);
        const y = (sum) => top + STACK - Math.min(sum, 1) * STACK;
        const edge = points.map(({ x }, i) => [x, y(above[i])]), back = points.map(({ x }, i) => [x, y(below[i])]).reverse();
        drawn("path", { class: `area soft emotion-${number}`, d: path([...edge, ...back]) + "Z" }, group);
        drawLabel(group, scale, number, edge, back.reverse());
        below = above;
      });
    }
  },
  lines(drawing, track) {
    const [group, top] = drawing.part(STACK), { scale } = drawing, y = (value) => top + STACK - 2 - value * (STACK - 4);
    drawAxis(drawing, group, top, STACK, [0, 0.5, 1], (value) => percent(value));
    for (const run of track.runs) {
      if (!scale.shows(run.start, run.end)) continue;
      const points = samples(run, scale, scores, true);
      labels.forEach((_, number) => {
        const line = points.map(({ x, values }) => [x, y(values[number])]);
        drawn("path", { class: `score-line emotion-${number}`, d: path(line) }, group);
        let part = []; // of the line where its class leads: confidence is its height
        points.forEach(({ values }, i) => {
          if (values[number] >= Math.max(...values) - 1e-9) part.push(line[i]);
          else part = flush(part);
        });
        flush(part);
        function flush(piece) {
          if (piece.length > 1) drawn("path", { class: `score-line leading emotion-${number}`, d: path(piece) }, group);
          return [];
        }
      });
    }
  },
};

/** The name of a class where its area, between an upper and a lower edge of points [x, y], has most room for it. */
function drawLabel(group, scale, number, upper, lower) {
  const half = labels[number].length * 3.2 + 5, last = upper.length - 1;
  const [left, right] = [Math.max(upper[0][0], scale.left) + half, Math.min(upper[last][0], scale.left + scale.width) - half];
  let [best, at, tried, first] = [5, null, -Infinity, 0];
  for (let i = 0; i <= last && left <= right; i++) {
    const middle = Math.min(Math.max(upper[i][0], left), right);
    if (middle < tried + half / 2 || lower[i][1] - upper[i][1] <= Math.max(best, 13)) continue; // near another place, or no room
    tried = middle;
    while (first < last && upper[first + 1][0] <= middle - half) first++;
    let [top, bottom] = [-Infinity, Infinity];
    for (let j = first; j <= last; j++) {
      [top, bottom] = [Math.max(top, upper[j][1]), Math.min(bottom, lower[j][1])];
      if (upper[j][0] >= middle + half) break;
    }
    if (bottom - top <= 13) continue;
    const value = bottom - top - (8 * Math.abs(middle - (left + right) / 2)) / (right - left || 1); // rather in the middle
    if (value > best) [best, at] = [value, [middle, (top + bottom) / 2 + 4]];
  }
  if (!at) return;
  const look = { class: `on-segment in-area emotion-${number}`, "text-anchor": "middle" };
  drawn("text", { ...look, x: round(at[0]), y: round(at[1]) }, group, labels[number]);
}

function drawAxis(drawing, group, top, height, values, text) {
  const { scale } = drawing, [low, high] = [values[0], values.at(-1)];
  for (const value of values) {
    const y = Math.round(top + height - ((value - low) / (high - low || 1)) * height) + (value === high ? 0.5 : -0.5);
    drawn("line", { class: "grid", x1: scale.left, x2: scale.left + scale.width, y1: y, y2: y }, group);
    drawing.name(text(value), Math.min(Math.max(y + 4, top + 9), top + height));
  }
}

/** How much of a decision comes from the voice, and how much from the face. */
function drawShares(drawing, track) {
  const { share_audio: voice, share_image: face } = columns;
  const known = (row) => voice[row] > 0 || face[row] > 0;
  if (!track.rows.some((row) => voice[row] > 0 && face[row] > 0)) return;
  const [group, top] = drawing.part(SHARE), { scale } = drawing;
  drawing.name("by face", top + 10);
  drawing.name("by voice", top + SHARE - 2);
  for (const run of runsOf(track.rows, known)) {
    if (!scale.shows(run.start, run.end)) continue;
    const filled = [voice, face].map((column) => column.map((value) => (Number.isNaN(value) ? 0 : value)));
    const points = samples(run, scale, filled, false);
    const edge = points.map(({ x, values }) => [x, top + SHARE - (values[0] / (values[0] + values[1] || 1)) * SHARE]);
    const [left, right] = [points[0].x, points.at(-1).x];
    drawn("path", { class: "share-face", d: path([[left, top], ...edge, [right, top]]) + "Z" }, group);
    drawn("path", { class: "share-voice", d: path([[left, top + SHARE], ...edge, [right, top + SHARE]]) + "Z" }, group);
  }
}

/** Loudness or pitch: one line where all persons share it, else one for each. */
function drawSignal(drawing, key, name, unit) {
  const column = columns[key], known = (row) => !Number.isNaN(column[row]), { scale } = drawing;
  let low = Infinity, high = -Infinity, isShared = true;
  const byStart = new Map();
  for (let row = 0; row < numRows; row++) {
    if (!known(row)) continue;
    [low, high] = [Math.min(low, column[row]), Math.max(high, column[row])];
    const at = columns.start[row];
    if (byStart.has(at) && Math.abs(column[byStart.get(at)] - column[row]) > 0.2) isShared = false;
    else byStart.set(at, row);
  }
  const [group, top] = drawing.part(SIGNAL, null, 10), step = high - low > 60 ? 20 : high - low > 20 ? 10 : 5;
  drawing.name(name, top + SIGNAL / 2 + 4, { class: "strong" });
  [low, high] = [Math.floor(low / step) * step, Math.ceil(high / step) * step];
  if (high === low) high = low + step;
  drawAxis(drawing, group, top, SIGNAL, [low, high], (value) => `${value} ${unit}`);
  const all = isShared ? [firstOfEach(known)] : tracks.map((track) => track.rows);
  all.forEach((rows, number) => {
    for (const run of runsOf(rows, known)) {
      if (!scale.shows(run.start, run.end)) continue;
      const points = samples(run, scale, [column], false);
      const line = points.map(({ x, values }) => [x, top + SIGNAL - ((values[0] - low) / (high - low)) * SIGNAL]);
      drawn("path", { class: "signal-line", d: path(line), "stroke-dasharray": ["none", "5 3", "1.5 3", "8 3 2 3"][number % 4] }, group);
    }
  });
  if (!isShared) {
    const key = names.map((one, i) => `${one} ${["—", "- -", "···", "-·-"][i % 4]}`).join("   ");
    drawn("text", { class: "in-plot", x: scale.left + 6, y: top + 11 }, group, key);
  }
}

/** A row of each window, one that is known where there is one. */
function firstOfEach(known) {
  const found = new Map();
  for (let row = 0; row < numRows; row++) {
    const at = columns.start[row];
    if (!found.has(at) || (!known(found.get(at)) && known(row))) found.set(at, row);
  }
  return [...found.values()];
}

/** Where a window lacks something: bands with their names at the left. */
function troubles() {
  const windows = new Map();
  for (let row = 0; row < numRows; row++) {
    const key = `${columns.start[row]} ${columns.end[row]}`;
    if (!windows.has(key)) windows.set(key, { row, face: NaN, voice: NaN, count: NaN });
    const one = windows.get(key), most = (a, b) => (Number.isNaN(a) ? b : Number.isNaN(b) ? a : Math.max(a, b));
    one.face = most(one.face, columns.face_coverage[row]);
    one.voice = most(one.voice, columns.voice_coverage[row]);
    one.count = most(one.count, columns.num_persons[row]);
  }
  const all = [...windows.values()];
  const kinds = {
    "no face": (one) => one.count === 0 || (Number.isNaN(one.count) && one.face === 0),
    "no voice": (one) => one.voice < 0.05,
    "several faces": (one) => one.count > 1,
  };
  return Object.entries(kinds).map(([name, holds]) => {
    const stretches = [];
    for (const one of all.filter(holds)) {
      const half = data.hop / 2, middle = center(one.row);
      const start = columns.start[one.row] < 1e-6 ? 0 : Math.max(columns.start[one.row], middle - half);
      const end = columns.end[one.row] >= duration - 1e-3 ? columns.end[one.row] : Math.min(columns.end[one.row], middle + half);
      const last = stretches.at(-1);
      if (last && start <= last.end + 1e-3) last.end = Math.max(last.end, end);
      else stretches.push({ start, end });
    }
    return { name, stretches };
  });
}

function drawTroubles(drawing, kinds) {
  const { scale } = drawing;
  for (const { name, stretches } of kinds) {
    const [group, top] = drawing.part(TROUBLE, name, 3), base = top + TROUBLE;
    drawn("line", { class: "base", x1: scale.left, x2: scale.left + scale.width, y1: base, y2: base }, group);
    for (const one of stretches) {
      if (!scale.shows(one.start, one.end)) continue;
      const x = scale.x(one.start), width = Math.max(scale.x(one.end) - x, 1);
      const rect = drawn("rect", { class: "trouble", x: round(x), y: top + 2, width: round(width), height: TROUBLE - 3, "data-kind": name }, group);
      drawn("title", {}, rect, `${name}: ${clock(one.start)} to ${clock(one.end)}`);
    }
  }
}

function drawTimeAxis(svg, scale) {
  svg.replaceChildren();
  svg.setAttribute("height", 26);
  const span = scale.end - scale.start, most = Math.max(2, scale.width / 74);
  const step = TICKS.find((each) => span / each <= most) ?? Math.ceil(span / most / 3600) * 3600;
  for (let number = Math.ceil(scale.start / step - 1e-6); number * step <= scale.end + 1e-6; number++) {
    const x = Math.round(scale.x(number * step)) + 0.5, anchor = x > scale.left + scale.width - 16 ? "end" : "middle";
    drawn("line", { class: "base", x1: x, x2: x, y1: 19, y2: 26 }, svg);
    drawn("text", { x, y: 15, "text-anchor": anchor }, svg, clock(number * step, step < 1 ? 1 : 0));
  }
  drawn("path", { class: "cursor-head", d: "M-5 17H5V21L0 26L-5 21Z" }, svg);
}
