// The volumes of the page: unpacked when they are first shown, then read voxel by voxel. The first axis runs fastest.

async function unpack(id) {
  const text = atob(document.getElementById(id).textContent.trim());
  const packed = Uint8Array.from(text, (character) => character.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Undo the differences along the first axis; a sum in 8 bits wraps around, as the difference did.
function sumUp(data, length) {
  for (let start = 0; start < data.length; start += length) {
    for (let i = start + 1; i < start + length; i++) {
      data[i] += data[i - 1];
    }
  }
  return data;
}

// One volume of a series, counted from 1 among those of the page; with the first noise map if it has none of its own.
async function loadVolumes(meta, place) {
  const length = meta.shape[0];
  const volumes = { after: sumUp(await unpack(`after-${place}`), length), removed: await unpack(`removed-${place}`) };
  const noise = [`noise-${place}`, "noise-1"].find((id) => document.getElementById(id));
  if (noise) {
    volumes.noise = sumUp(await unpack(noise), length);
  }
  return volumes;
}

// What was removed, in grey levels of the images, for each of its bytes.
function removedInGrey(meta) {
  const unit = (meta.span / meta.steps) * (255 / (meta.high - meta.low));
  return Float32Array.from({ length: 256 }, (_, byte) => (byte - meta.steps - 1) * unit);
}

function valuesAt(meta, volumes, voxel) {
  const place = voxel[0] + meta.shape[0] * (voxel[1] + meta.shape[1] * voxel[2]);
  const after = meta.low + (volumes.after[place] / 255) * (meta.high - meta.low);
  const removed = ((volumes.removed[place] - meta.steps - 1) / meta.steps) * meta.span;
  const values = { before: after + removed, after, removed };
  if (volumes.noise) {
    values.noise = meta.noiseLow + (volumes.noise[place] / 255) * (meta.noiseHigh - meta.noiseLow);
  }
  return values;
}
