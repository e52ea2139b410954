// The viewer: what the controls, the mouse and the keys do.

const meta = JSON.parse(document.getElementById("meta").textContent);
const state = {
  mode: "wipe", voxel: meta.start, wipe: 0.5, white: meta.white, gain: 1.25, zoom: 1, crosshair: true,
  late: false, playing: true, rate: 1.5,
};
const by = (id) => document.getElementById(id);
let grey = removedInGrey(meta);
const planes = meta.planes.map((plane) => ({
  ...plane, canvas: by(`plane-${plane.name}`), slider: by(`slice-${plane.name}`), text: by(`text-${plane.name}`),
}));
let volumes = null;
let waiting = false;
const series = {}; // volumes that were unpacked, by their place on the page
let place = 1;

function layers() {
  if (state.mode === "wipe") {
    return ["before", "after"];
  }
  return [state.mode === "flicker" ? (state.late ? "after" : "before") : state.mode];
}

function redraw() {
  if (volumes && !waiting) {
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      if (state.mode === "solid") {
        drawSolid(state, meta, volumes, grey);
      } else {
        draw();
      }
    });
  }
}

function draw() {
  const shown = layers();
  for (const plane of planes) {
    const ratio = window.devicePixelRatio || 1;
    const size = Math.max(Math.round(plane.canvas.clientWidth * ratio), 1);
    if (plane.canvas.width !== size) {
      plane.canvas.width = plane.canvas.height = size;
    }
    drawPlane(plane.canvas, plane, shown, state, meta, volumes, grey);
    const count = meta.shape[plane.w];
    const number = state.voxel[plane.w] + 1;
    plane.slider.value = number;
    plane.text.textContent = count > 1 ? `${number} / ${count}` : "";
    plane.slider.setAttribute("aria-valuetext", `slice ${number} of ${count}`);
  }
  read();
}

function short(value) {
  return Number(value.toPrecision(3)).toString().replace("-", "−");
}

let speech = 0;
function read() {
  const full = state.voxel.map((v, i) => meta.origin[i] + v * meta.step[i]);
  const stored = meta.file.map(([axis, flip]) => (flip > 0 ? full[axis] : meta.full[axis] - 1 - full[axis]));
  const values = valuesAt(meta, volumes, state.voxel);
  const words = [meta.picture ? `Row ${stored[0]}, column ${stored[1]}` : `Voxel ${stored.join(", ")}`];
  if (!meta.picture) {
    const mm = meta.affine.map((row) => row[3] + row[0] * full[0] + row[1] * full[1] + row[2] * full[2]);
    words.push(`${mm.map((v) => v.toFixed(1).replace("-", "−")).join(", ")} mm`);
  }
  words.push(`before ${short(values.before)}`, `after ${short(values.after)}`, `removed ${short(values.removed)}`);
  if (values.noise !== undefined) {
    words.push(`noise level ${short(values.noise)}`);
  }
  by("readout").textContent = words.join(" · ");
  clearTimeout(speech);
  speech = setTimeout(() => { by("spoken").textContent = words.join(", "); }, 700);
}

function scale() {
  const bar = by("scale");
  const [low, middle, high] = bar.querySelectorAll("span");
  const noisy = state.mode === "noise";
  const removed = state.mode === "removed";
  bar.classList.toggle("colours", noisy);
  const range = noisy ? [meta.noiseLow, meta.noiseHigh] : [meta.low, meta.low + state.white * (meta.high - meta.low)];
  const ends = removed ? [-meta.span / state.gain, meta.span / state.gain] : range;
  low.textContent = short(ends[0]);
  middle.textContent = short((ends[0] + ends[1]) / 2);
  high.textContent = short(ends[1]);
  by("scale-name").textContent = noisy ? "Noise level" : removed ? "Removed" : "Value";
}

function choose(mode) {
  state.mode = mode;
  by(`mode-${mode}`).checked = true;
  document.querySelectorAll("[data-for]").forEach((part) => {
    part.hidden = !part.dataset.for.split(" ").includes(mode);
  });
  scale();
  restart();
  redraw();
}

let timer = 0;
function restart() {
  clearInterval(timer);
  by("play").textContent = state.playing ? "Pause" : "Play";
  if (state.mode === "flicker" && state.playing) {
    timer = setInterval(() => {
      state.late = !state.late;
      redraw();
    }, 1000 / state.rate);
  }
}

function move(axis, count) {
  state.voxel[axis] = Math.min(Math.max(state.voxel[axis] + count, 0), meta.shape[axis] - 1);
  redraw();
}

function onKey(event, plane) {
  const right = plane.flipU ? -1 : 1;
  const down = plane.flipV ? -1 : 1;
  const moves = {
    ArrowLeft: [plane.u, -right], ArrowRight: [plane.u, right], ArrowUp: [plane.v, -down], ArrowDown: [plane.v, down],
    PageUp: [plane.w, 1], PageDown: [plane.w, -1],
  };
  if (moves[event.key]) {
    move(...moves[event.key]);
  } else if (event.key === " ") {
    choose(state.mode === "before" ? "after" : "before");
  } else {
    return;
  }
  event.preventDefault();
}

function onPointer(event, plane) {
  const box = plane.canvas.getBoundingClientRect();
  const x = (event.clientX - box.left) / box.width;
  const y = (event.clientY - box.top) / box.height;
  if (state.mode === "wipe" && event.type === "pointermove") {
    state.wipe = Math.min(Math.max(x, 0), 1);
    by("wipe").value = Math.round(100 * state.wipe);
  } else {
    const { width, height } = plane.canvas;
    state.voxel = voxelAt(plane.canvas, plane, state, meta, x * width, y * height);
  }
  redraw();
}

function listen(plane) {
  const { canvas } = plane;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    plane.from = [event.clientX, event.clientY];
  });
  canvas.addEventListener("pointermove", (event) => {
    if (plane.from && (plane.moved || Math.abs(event.clientX - plane.from[0]) > 3 || Math.abs(event.clientY - plane.from[1]) > 3)) {
      plane.moved = true;
      onPointer(event, plane);
    }
  });
  canvas.addEventListener("pointerup", (event) => {
    if (plane.from && !plane.moved) {
      onPointer(event, plane);
    }
    plane.from = plane.moved = null;
  });
  canvas.addEventListener("pointercancel", () => { plane.from = plane.moved = null; });
  canvas.addEventListener("wheel", (event) => {
    const before = state.voxel[plane.w];
    move(plane.w, event.deltaY > 0 ? -1 : 1);
    if (state.voxel[plane.w] !== before) {
      event.preventDefault();
    }
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => onKey(event, plane));
  plane.slider.addEventListener("input", () => {
    state.voxel[plane.w] = Number(plane.slider.value) - 1;
    redraw();
  });
}

function bind() {
  document.querySelectorAll("input[name=mode]").forEach((radio) => {
    radio.addEventListener("change", () => choose(radio.value));
  });
  const set = (id, name, part) => by(id).addEventListener("input", (event) => {
    state[name] = Number(event.target.value) * part;
    scale();
    restart();
    redraw();
  });
  set("wipe", "wipe", 0.01);
  set("white", "white", 0.01);
  set("gain", "gain", 1);
  set("zoom", "zoom", 1);
  set("rate", "rate", 1);
  by("series")?.addEventListener("input", (event) => show(Number(event.target.value)));
  by("crosshair").addEventListener("change", (event) => {
    state.crosshair = event.target.checked;
    redraw();
  });
  by("play").addEventListener("click", () => {
    state.playing = !state.playing;
    restart();
  });
  document.querySelectorAll("button[data-voxel]").forEach((button) => button.addEventListener("click", () => {
    const voxel = JSON.parse(button.dataset.voxel);
    state.voxel = voxel.map((v, i) => Math.min(Math.max(Math.round((v - meta.origin[i]) / meta.step[i]), 0), meta.shape[i] - 1));
    choose("removed");
    by("images").scrollIntoView({ block: "start" });
    planes[0].canvas.focus({ preventScroll: true });
  }));
  planes.forEach(listen);
  if (by("solid")) {
    bindSolid(redraw);
  }
  new ResizeObserver(redraw).observe(by("planes"));
  window.addEventListener("beforeprint", draw);
}

// Show a volume of the page, counted from 1.
async function show(wanted) {
  place = wanted;
  series[wanted] ??= loadVolumes(meta, wanted);
  const loaded = await series[wanted];
  if (place !== wanted) {
    return; // the slider has moved on
  }
  volumes = loaded;
  Object.assign(meta, meta.series[wanted - 1]);
  grey = removedInGrey(meta);
  state.white = meta.white;
  by("white").min = Math.max(Math.round(20 * state.white), 1);
  by("white").value = Math.round(100 * state.white);
  if (by("series")) {
    const text = `${meta.number} / ${meta.volumes}`;
    by("series-text").textContent = text;
    by("series").setAttribute("aria-valuetext", `volume ${meta.number} of ${meta.volumes}`);
  }
  scale();
  redraw();
}

async function start() {
  if (!("DecompressionStream" in window) || !("OffscreenCanvas" in window)) {
    by("status").textContent = "This browser is too old to show the images here. Any browser of 2023 or later does.";
    return;
  }
  await show(1);
  bind();
  by("status").hidden = true;
  by("controls").hidden = false;
  by("viewer").dataset.ready = "true";
  choose(state.mode);
}

start();
