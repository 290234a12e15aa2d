// The timeline as columns of numbers; NaN is what was not seen or heard.

function unpack({ base64, bits, step, low }) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const codes = new { 8: Uint8Array, 16: Uint16Array, 32: Uint32Array }[bits](bytes.buffer);
  const missing = 2 ** bits - 1;
  return Float64Array.from(codes, (code) => (code === missing ? NaN : low + code * step));
}

const { labels, persons, duration } = data;
const emotions = [...labels, "uncertain"];
const names = persons.map((person) => person ?? "voice");
const columns = Object.fromEntries(Object.entries(data.columns).map(([name, packed]) => [name, unpack(packed)]));
const scores = labels.map((label) => columns[`score_${label}`]);
const numRows = columns.start.length;
const segmentColumns = Object.fromEntries(Object.entries(data.segments).map(([name, one]) => [name, unpack(one)]));

const center = (row) => (columns.start[row] + columns.end[row]) / 2;
const isScored = (row) => !Number.isNaN(scores[0][row]);

/** Of each person: `rows` (numbers of them), `runs` of rows without a gap, and `segments`. */
const tracks = persons.map((_, person) => {
  const rows = [];
  for (let row = 0; row < numRows; row++) if (columns.person[row] === person) rows.push(row);
  const segments = [];
  for (let i = 0; i < segmentColumns.start.length; i++) {
    if (segmentColumns.person[i] !== person) continue;
    segments.push({
      start: segmentColumns.start[i],
      end: segmentColumns.end[i],
      emotion: Number.isNaN(segmentColumns.emotion[i]) ? null : segmentColumns.emotion[i],
      confidence: segmentColumns.confidence[i],
      text: data.segment_texts ? data.segment_texts[i] : null,
    });
  }
  return { rows, segments, runs: runsOf(rows, isScored) };
});

/**
 * Stretches of rows that have a value and follow each other. Each is `{rows, start, end}`: beside a row without a value
 * it ends in the middle of what both share, as segments do.
 */
function runsOf(rows, hasValue) {
  const runs = [];
  let run = null;
  rows.forEach((row, place) => {
    const before = rows[place - 1];
    const follows = place > 0 && columns.start[row] <= columns.end[before] + 1e-3;
    const middle = follows ? (columns.end[before] + columns.start[row]) / 2 : NaN;
    if (run && (!follows || !hasValue(row))) {
      run.end = follows ? Math.min(columns.end[before], middle) : columns.end[before];
      run = null;
    }
    if (!hasValue(row)) return;
    if (!run) {
      run = { rows: [], start: follows ? Math.max(columns.start[row], middle) : columns.start[row] };
      runs.push(run);
    }
    run.rows.push(row);
    run.end = columns.end[row];
  });
  return runs;
}

/** The row of a person nearest to a time within its window, or -1. */
function rowAt(person, time) {
  const { rows } = tracks[person];
  let low = 0, high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (center(rows[middle]) < time) low = middle + 1;
    else high = middle;
  }
  let best = -1, distance = Infinity;
  for (let place = low - 1; place <= low; place++) {
    const row = rows[place];
    if (row === undefined || time < columns.start[row] - 1e-6 || time > columns.end[row] + 1e-6) continue;
    if (Math.abs(center(row) - time) < distance) [best, distance] = [row, Math.abs(center(row) - time)];
  }
  return best;
}

/** The segment of a person at a time, or undefined. */
function segmentAt(person, time) {
  const { segments } = tracks[person];
  return segments.find((one) => one.start <= time && time < one.end) ?? segments.find((one) => time === one.end);
}

// ---- table and CSV

const NUMBER_FIELDS = new Set(["confidence", "face_coverage", "voice_coverage", "share_audio", "share_image"]);

/** Value of a cell as text; empty is what was not seen or heard. */
function cell(name, row) {
  if (name === "text") return data.texts[row] ?? "";
  const value = columns[name][row];
  if (Number.isNaN(value)) return "";
  if (name === "person") return persons[value] ?? "";
  if (name === "emotion") return emotions[value];
  const digits = name.startsWith("score_") || NUMBER_FIELDS.has(name) ? 4 : name === "loudness" ? 2 : name === "pitch" ? 1 : 4;
  return String(Number(value.toFixed(digits)));
}

function csvText() {
  const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const lines = [data.fields.map(quoted).join(",")];
  for (let row = 0; row < numRows; row++) lines.push(data.fields.map((name) => quoted(cell(name, row))).join(","));
  return lines.join("\r\n") + "\r\n";
}
