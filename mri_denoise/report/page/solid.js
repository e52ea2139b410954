// The head in 3D by NiiVue, which the page carries packed and unpacks when it is first asked for.

const SMALLEST = 5; // standard deviations of smoothed noise from which on something stands out
const LARGEST = 10; // where its colour is brightest
const TURN = 10; // degrees a key
const HEADER = 352; // bytes before the voxels of a NIfTI file
const solid = { viewer: null, volumes: null, what: "", odd: null, cut: 0 };
let loading = null;
let drawing = Promise.resolve();

// A NIfTI-1 file in memory; the page's axes run right, forward and up. https://nifti.nimh.nih.gov/nifti-1
function nifti(voxels, meta) {
  const buffer = new ArrayBuffer(HEADER + voxels.length);
  const view = new DataView(buffer);
  view.setInt32(0, 348, true);
  [3, ...meta.shape, 1, 1, 1, 1].forEach((n, i) => view.setInt16(40 + 2 * i, n, true));
  view.setInt16(70, 2, true); // uint8
  view.setInt16(72, 8, true);
  [1, ...meta.spacing].forEach((mm, i) => view.setFloat32(76 + 4 * i, mm, true));
  view.setFloat32(108, HEADER, true);
  view.setFloat32(112, 1, true);
  view.setInt16(254, 1, true); // the affine below counts
  meta.spacing.forEach((mm, i) => {
    view.setFloat32(280 + 20 * i, mm, true);
    view.setFloat32(280 + 16 * i + 12, (-mm * (meta.shape[i] - 1)) / 2, true);
  });
  view.setUint32(344, 0x00312b6e, true); // "n+1"
  new Uint8Array(buffer, HEADER).set(voxels);
  return buffer;
}

// Sums of three neighbours along an axis; the edge counts twice.
function sumOfThree(values, shape, axis) {
  const stride = [1, shape[0], shape[0] * shape[1]][axis];
  const last = shape[axis] - 1;
  const sums = new Float32Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const at = Math.floor(i / stride) % shape[axis];
    sums[i] = values[i] + values[at > 0 ? i - stride : i] + values[at < last ? i + stride : i];
  }
  return sums;
}

// How far the average of what was removed is from 0, in its standard deviations, as bytes from SMALLEST to LARGEST.
function standsOut(meta, volumes) {
  let sums = Float32Array.from(volumes.removed, (byte) => byte - meta.steps - 1);
  for (const axis of [0, 1, 2]) {
    sums = sumOfThree(sums, meta.shape, axis);
  }
  const bright = 0.12 * 255 * meta.white;
  let squares = 0;
  let count = 0;
  sums.forEach((sum, i) => {
    if (volumes.after[i] > bright) {
      squares += sum * sum;
      count += 1;
    }
  });
  const deviation = Math.sqrt(squares / Math.max(count, 1)) || 1;
  const bytes = new Uint8Array(sums.length);
  sums.forEach((sum, i) => {
    const z = Math.abs(sum) / deviation;
    bytes[i] = z > SMALLEST && volumes.after[i] > bright ? Math.min(50 + (205 * (z - SMALLEST)) / (LARGEST - SMALLEST), 255) : 0;
  });
  return bytes;
}

function beforeBytes(volumes, grey) {
  return Uint8Array.from(volumes.after, (byte, i) => Math.min(Math.max(byte + grey[volumes.removed[i]] + 0.5, 0), 255));
}

async function startSolid() {
  if (!document.createElement("canvas").getContext("webgl2")) {
    throw new Error("this browser has no WebGL2, which 3D needs. The slices do without");
  }
  const script = document.createElement("script");
  script.textContent = new TextDecoder().decode(await unpack("niivue"));
  document.head.append(script);
  document.getElementById("solid-frame").hidden = false;
  const viewer = new globalThis.niivue.Niivue({
    backColor: [0, 0, 0, 1], show3Dcrosshair: false, isOrientCube: true, dragAndDropEnabled: false, loadingText: "",
    clipPlaneColor: [0, 0, 0, 0], clipPlaneHotKey: "", cycleClipPlaneHotKey: "", viewModeHotKey: "", logLevel: "error",
  });
  await viewer.attachTo("solid-canvas");
  viewer.setSliceType(viewer.sliceTypeRender);
  return viewer;
}

// One drawing after the other, since each waits for the viewer.
function drawSolid(...parts) {
  drawing = drawing.then(() => paintSolid(...parts));
}

async function paintSolid(state, meta, volumes, grey) {
  const status = document.getElementById("solid-status");
  const what = document.getElementById("solid-what").value;
  const shows = document.getElementById("solid-odd").checked;
  try {
    if (!loading) {
      status.textContent = "Unpacking the 3D view …";
      loading = startSolid();
    }
    const viewer = await loading;
    solid.viewer = viewer;
    if (solid.volumes !== volumes || solid.what !== what) {
      solid.odd = solid.volumes === volumes ? solid.odd : standsOut(meta, volumes);
      Object.assign(solid, { volumes, what });
      const images = [[what === "before" ? beforeBytes(volumes, grey) : volumes.after, "gray"], [solid.odd, "warm"]];
      while (viewer.volumes.length) {
        viewer.removeVolumeByIndex(viewer.volumes.length - 1);
      }
      for (const [bytes, colormap] of images) {
        const image = await globalThis.niivue.NVImage.loadFromUrl({ url: nifti(bytes, meta), name: "image.nii", colormap });
        viewer.addVolume(image);
      }
    }
    const [image, odd] = viewer.volumes;
    [image.cal_min, image.cal_max] = [0.06 * 255 * state.white, 255 * state.white];
    [odd.cal_min, odd.cal_max, odd.opacity] = [1, 255, shows ? 1 : 0];
    viewer.updateGLVolume();
    status.textContent = "";
    document.getElementById("solid").dataset.ready = "true";
  } catch (error) {
    status.textContent = `No 3D view: ${error.message}.`;
  }
}

// Cut what is in front: the plane faces whoever looks.
function cutSolid(part) {
  const { viewer } = solid;
  if (viewer) {
    const { renderAzimuth, renderElevation } = viewer.scene;
    viewer.setClipPlane([part > 0 ? 0.5 - part : 2, (renderAzimuth + 180) % 360, -renderElevation]);
  }
}

function bindSolid(redraw) {
  for (const id of ["solid-what", "solid-odd"]) {
    document.getElementById(id).addEventListener("input", redraw);
  }
  document.getElementById("solid-cut").addEventListener("input", (event) => cutSolid(event.target.value / 100));
  document.getElementById("solid-canvas").addEventListener("keydown", (event) => {
    const { viewer } = solid;
    const turns = { ArrowLeft: [-TURN, 0], ArrowRight: [TURN, 0], ArrowUp: [0, TURN], ArrowDown: [0, -TURN] };
    const zooms = { "+": 1.1, "-": 1 / 1.1 };
    if (viewer && turns[event.key]) {
      const [azimuth, elevation] = turns[event.key];
      viewer.setRenderAzimuthElevation(viewer.scene.renderAzimuth + azimuth, viewer.scene.renderElevation + elevation);
    } else if (viewer && zooms[event.key]) {
      viewer.setScale(viewer.scene.volScaleMultiplier * zooms[event.key]);
    } else {
      return;
    }
    event.preventDefault();
  });
}
