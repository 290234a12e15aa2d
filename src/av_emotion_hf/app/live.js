// A camera and a microphone, sent to the service in pieces; what comes back is drawn as a rolling timeline.
const SECONDS = 60;  // that the timeline shows
const PAUSE = 400;  // milliseconds between two requests
const WIDTH = 640;  // of a frame
const WAITING = 2;  // seconds of frames that wait for a request; where the service is slower, others are left out
const WORKLET = `registerProcessor("piece", class extends AudioWorkletProcessor {
  process(inputs) {
    if (inputs[0].length) this.port.postMessage([inputs[0][0].slice(), currentTime]);
    return true;
  }
});`;
const find = (name) => element.querySelector("." + name);
const [known, start, stop, state, view, now, rolling, delay] =
  ["known", "start", "stop", "state", "view", "now", "rolling", "delay"].map(find);
let running = null;

function say(text) { state.textContent = text; }

function reason(error) {
  if (error.name === "NotAllowedError") return "The browser was not allowed to use camera and microphone; allow it in its address bar.";
  if (error.name === "NotFoundError") return "No camera and no microphone was found; connect one, or choose a file.";
  if (error.name === "NotReadableError") return "Camera or microphone is in use by another program; close that first.";
  return error.message;
}

async function openMedia() {
  if (!navigator.mediaDevices)
    throw new Error("The browser gives no camera and no microphone to this page: open it over https, or on the machine where it runs.");
  const wanted = [{ video: { width: WIDTH }, audio: true }, { audio: true }, { video: { width: WIDTH } }];
  for (const [number, one] of wanted.entries()) {
    try { return await navigator.mediaDevices.getUserMedia(one); }
    catch (error) { if (error.name !== "NotFoundError" || number === wanted.length - 1) throw error; }
  }
}

async function post(address, form) {
  const answer = await fetch(new URL("live/" + address, document.baseURI), { method: "POST", body: form });
  const content = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(content.detail || "The service does not answer; is it still running?");
  return content;
}

async function begin() {
  const run = { rows: [], frames: [], samples: [], length: 0, first: null, ended: false };
  running = run;
  start.disabled = true; stop.disabled = false;
  try {
    say("Opening camera and microphone");
    run.media = await openMedia();
    say("Loading the model");
    const form = new FormData();
    form.append("checkpoint", props.checkpoint); form.append("abstain", String(props.abstain));
    Object.assign(run, await post("start", form));
    if (run.ended) return await end(run);
    run.zero = performance.now();
    await listen(run);
    await watchCamera(run);
    say("Live: the first answer comes after about five seconds");
    while (!run.ended) {
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
      if (!run.ended) await push(run);
    }
  } catch (error) { if (!run.ended) await end(run, reason(error)); }
}

async function listen(run) {
  if (!run.media.getAudioTracks().length) return;
  run.context = new AudioContext();
  const module = URL.createObjectURL(new Blob([WORKLET], { type: "text/javascript" }));
  await run.context.audioWorklet.addModule(module);
  URL.revokeObjectURL(module);
  await run.context.resume();
  const node = new AudioWorkletNode(run.context, "piece", { numberOfOutputs: 0 });
  const zero = run.context.currentTime - (performance.now() - run.zero) / 1000;
  node.port.onmessage = ({ data: [samples, time] }) => {
    if (run.ended) return;
    if (run.first === null) run.first = Math.max(0, time - zero);
    run.samples.push(samples); run.length += samples.length;
  };
  run.context.createMediaStreamSource(new MediaStream(run.media.getAudioTracks())).connect(node);
}

async function watchCamera(run) {
  if (!run.media.getVideoTracks().length) return;
  view.srcObject = run.media; view.hidden = false;
  await view.play();
  const canvas = document.createElement("canvas");
  const draw = canvas.getContext("2d");
  run.timer = setInterval(() => {
    if (run.frames.length >= WAITING * run.fps || !view.videoWidth) return;
    canvas.width = Math.min(WIDTH, view.videoWidth);
    canvas.height = Math.round(canvas.width * view.videoHeight / view.videoWidth);
    draw.drawImage(view, 0, 0, canvas.width, canvas.height);
    const time = (performance.now() - run.zero) / 1000;
    canvas.toBlob((blob) => { if (blob && !run.ended) run.frames.push([time, blob]); }, "image/jpeg", 0.85);
  }, 1000 / run.fps);
}

async function push(run) {
  const form = new FormData();
  const rate = run.context ? run.context.sampleRate : 16000;
  const whole = new Int16Array(run.length);
  let place = 0;
  for (const part of run.samples)
    for (const value of part) whole[place++] = Math.max(-32768, Math.min(32767, Math.round(value * 32767)));
  form.append("audio", new Blob([whole])); form.append("rate", String(rate));
  form.append("audio_time", String(run.first ?? 0));
  if (run.first !== null) run.first += whole.length / rate;
  run.samples = []; run.length = 0;
  const frames = run.frames.sort((one, other) => one[0] - other[0]);
  run.frames = [];
  form.append("times", frames.map(([time]) => time.toFixed(4)).join(","));
  for (const [, blob] of frames) form.append("frame", blob, "frame.jpg");
  const { rows, latency } = await post(`${run.session}/push`, form);
  if (run.ended) return;
  if (rows.length) say("Live");
  run.rows.push(...rows);
  show(run, latency);
}

function named(person) { return person === null ? "voice" : person.replace("-", " "); }

function show(run, latency) {
  const end = (performance.now() - run.zero) / 1000, begin = Math.max(0, end - SECONDS);
  run.rows = run.rows.filter((row) => row.end > begin);
  const lanes = new Map();
  for (const row of run.rows) lanes.set(row.person, [...(lanes.get(row.person) ?? []), row]);
  const last = Math.max(0, ...run.rows.map((row) => row.end));
  now.replaceChildren(...run.rows.filter((row) => row.end === last).map((row) => {
    const line = document.createElement("p"), word = document.createElement("strong");
    word.textContent = row.emotion ?? "nothing seen or heard";
    const share = row.confidence === null ? "" : ` (${row.confidence.toFixed(2)})`;
    line.append(`${named(row.person)}: `, word, share);
    return line;
  }));
  rolling.replaceChildren(...[...lanes].map(([person, rows]) => {
    const lane = document.createElement("div"), name = document.createElement("span"), bar = document.createElement("div");
    lane.className = "lane"; bar.className = "bar"; name.textContent = named(person);
    rows.forEach((row, number) => {  // windows overlap: each is drawn up to the start of the next one's last part
      const from = number ? Math.max(rows[number - 1].end, row.start) : row.start;
      if (row.emotion === null || row.end <= begin) return;
      const part = document.createElement("i");
      part.style.left = `${100 * Math.max(0, from - begin) / SECONDS}%`;
      part.style.width = `${100 * (row.end - Math.max(from, begin)) / SECONDS}%`;
      part.style.background = run.colors[row.emotion] ?? "#8c9196";
      part.title = `${row.emotion}, ${row.start.toFixed(1)} to ${row.end.toFixed(1)} s`;
      bar.append(part);
    });
    lane.append(name, bar);
    return lane;
  }), legend(run));
  const slow = latency.load !== null && latency.load > 1 ? " This machine does not keep up." : "";
  delay.textContent = latency.median === null ? "" : `Answers come ${latency.median.toFixed(1)} s after what they are about.${slow}`;
}

function legend(run) {
  const list = document.createElement("div");
  list.className = "legend";
  for (const label of new Set(run.rows.map((row) => row.emotion).filter(Boolean))) {
    const one = document.createElement("span"), color = document.createElement("i");
    color.style.background = run.colors[label] ?? "#8c9196";
    one.append(color, label);
    list.append(one);
  }
  return list;
}

async function end(run, message = "Stopped.") {
  run.ended = true;
  clearInterval(run.timer);
  run.media?.getTracks().forEach((track) => track.stop());
  await run.context?.close().catch(() => {});
  if (run.session) await post(`${run.session}/stop`, new FormData()).catch(() => {});
  if (running !== run) return;
  running = null;
  view.hidden = true; view.srcObject = null;
  start.disabled = !known.checked; stop.disabled = true;
  say(message);
}

known.addEventListener("change", () => {
  start.disabled = !known.checked || running !== null;
  if (!known.checked && running) end(running);
});
start.addEventListener("click", begin);
stop.addEventListener("click", () => running && end(running));
window.addEventListener("pagehide", () => {
  if (running?.session) navigator.sendBeacon(new URL(`live/${running.session}/stop`, document.baseURI), new FormData());
});
