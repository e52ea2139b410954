// Slices: voxels to pixels, and one plane drawn on its canvas with wipe, crosshair and letters.

const COLOURS = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]]; // viridis

function colour(part) {
  const place = Math.min(Math.max(part, 0), 1) * (COLOURS.length - 1);
  const lower = Math.min(Math.floor(place), COLOURS.length - 2);
  return COLOURS[lower].map((value, i) => value + (COLOURS[lower + 1][i] - value) * (place - lower));
}

// The pixels of a slice: a grey level for images, a colour for the noise map.
function fillSlice(image, plane, layer, state, meta, volumes, grey) {
  const [nx, ny] = meta.shape;
  const strides = [1, nx, nx * ny];
  const columns = meta.shape[plane.u];
  const rows = meta.shape[plane.v];
  const base = state.voxel[plane.w] * strides[plane.w];
  const top = 255 * state.white;
  const words = new Uint32Array(image.data.buffer);
  for (let row = 0; row < rows; row++) {
    const v = plane.flipV ? rows - 1 - row : row;
    for (let column = 0; column < columns; column++) {
      const u = plane.flipU ? columns - 1 - column : column;
      const place = base + u * strides[plane.u] + v * strides[plane.v];
      let word;
      if (layer === "noise") {
        const [red, green, blue] = colour(volumes.noise[place] / 255);
        word = 0xff000000 | (blue << 16) | (green << 8) | red;
      } else {
        let level;
        if (layer === "removed") {
          level = 128 + ((volumes.removed[place] - meta.steps - 1) / meta.steps) * 127 * state.gain;
        } else {
          const value = volumes.after[place] + (layer === "before" ? grey[volumes.removed[place]] : 0);
          level = (value * 255) / top;
        }
        const byte = level < 0 ? 0 : level > 255 ? 255 : level + 0.5;
        word = 0xff000000 | (byte << 16) | (byte << 8) | byte;
      }
      words[row * columns + column] = word;
    }
  }
}

// Where a plane lies on its canvas: pixels for a millimetre, and the left and top of the slice.
function frame(canvas, plane, state, meta) {
  const width = meta.shape[plane.u] * meta.spacing[plane.u];
  const height = meta.shape[plane.v] * meta.spacing[plane.v];
  const scale = (canvas.width / meta.extent) * state.zoom;
  const cell = [meta.spacing[plane.u] * scale, meta.spacing[plane.v] * scale];
  const centre = [width / 2, height / 2];
  if (state.zoom > 1) {
    const [column, row] = onPlane(plane, state.voxel, meta);
    centre[0] = (column + 0.5) * meta.spacing[plane.u];
    centre[1] = (row + 0.5) * meta.spacing[plane.v];
  }
  const left = canvas.width / 2 - centre[0] * scale;
  const over = canvas.height / 2 - centre[1] * scale;
  return { left, top: over, width: width * scale, height: height * scale, cell };
}

function onPlane(plane, voxel, meta) {
  const column = plane.flipU ? meta.shape[plane.u] - 1 - voxel[plane.u] : voxel[plane.u];
  const row = plane.flipV ? meta.shape[plane.v] - 1 - voxel[plane.v] : voxel[plane.v];
  return [column, row];
}

function voxelAt(canvas, plane, state, meta, x, y) {
  const place = frame(canvas, plane, state, meta);
  const limit = (value, n) => Math.min(Math.max(Math.floor(value), 0), n - 1);
  const column = limit((x - place.left) / place.cell[0], meta.shape[plane.u]);
  const row = limit((y - place.top) / place.cell[1], meta.shape[plane.v]);
  const voxel = [...state.voxel];
  voxel[plane.u] = plane.flipU ? meta.shape[plane.u] - 1 - column : column;
  voxel[plane.v] = plane.flipV ? meta.shape[plane.v] - 1 - row : row;
  return voxel;
}

function drawPlane(canvas, plane, layers, state, meta, volumes, grey) {
  const context = canvas.getContext("2d");
  const columns = meta.shape[plane.u];
  const rows = meta.shape[plane.v];
  const sheet = new OffscreenCanvas(columns, rows);
  const pencil = sheet.getContext("2d");
  const image = pencil.createImageData(columns, rows);
  const place = frame(canvas, plane, state, meta);
  const border = state.wipe * canvas.width;
  context.fillStyle = "#000";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingEnabled = false;
  layers.forEach((layer, i) => {
    fillSlice(image, plane, layer, state, meta, volumes, grey);
    pencil.putImageData(image, 0, 0);
    context.save();
    if (layers.length > 1) {
      context.beginPath();
      context.rect(i ? border : 0, 0, i ? canvas.width - border : border, canvas.height);
      context.clip();
    }
    context.drawImage(sheet, place.left, place.top, place.width, place.height);
    context.restore();
  });
  drawMarks(context, canvas, plane, layers, state, meta, place, border);
}

function drawMarks(context, canvas, plane, layers, state, meta, place, border) {
  const unit = canvas.width / canvas.clientWidth;
  const middle = [canvas.width / 2, canvas.height / 2];
  if (state.crosshair) {
    const [column, row] = onPlane(plane, state.voxel, meta);
    const x = place.left + (column + 0.5) * place.cell[0];
    const y = place.top + (row + 0.5) * place.cell[1];
    const gap = 9 * unit;
    context.strokeStyle = "#4fc3f7";
    context.lineWidth = unit;
    context.beginPath();
    for (const [x1, y1, x2, y2] of [[0, y, x - gap, y], [x + gap, y, canvas.width, y], [x, 0, x, y - gap], [x, y + gap, x, canvas.height]]) {
      context.moveTo(x1, y1);
      context.lineTo(x2, y2);
    }
    context.stroke();
  }
  if (layers.length > 1) {
    context.fillStyle = "#ffd54f";
    context.fillRect(border - unit, 0, 2 * unit, canvas.height);
  }
  context.font = `600 ${13 * unit}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  const write = (text, x, y, align, fill) => {
    context.textAlign = align;
    context.lineWidth = 3 * unit;
    context.strokeStyle = "#000";
    context.strokeText(text, x, y);
    context.fillStyle = fill;
    context.fillText(text, x, y);
  };
  const edge = 8 * unit;
  const [left, right, top, bottom] = plane.letters;
  write(left, edge, middle[1], "left", "#fff");
  write(right, canvas.width - edge, middle[1], "right", "#fff");
  write(top, middle[0], 13 * unit, "center", "#fff");
  write(bottom, middle[0], canvas.height - 11 * unit, "center", "#fff");
  const names = { before: "before", after: "after", removed: "removed", noise: "noise level" };
  write(names[layers[0]], edge, 13 * unit, "left", "#ffd54f");
  if (layers.length > 1) {
    write(names[layers[1]], canvas.width - edge, 13 * unit, "right", "#ffd54f");
  }
}
