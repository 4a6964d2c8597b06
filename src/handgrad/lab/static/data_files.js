// Files of one's own: a table, or a folder of pictures, chosen or dropped, and sent to the lab.

import { post, upload } from "./api.js";

const PICTURE = /\.(png|jpe?g|gif|bmp|webp)$/i;
const LARGEST = 7 << 20; // bytes of a body
const MOST = 100; // pictures of a body

// Sends pictures, [path, file] with the path as "cat/1.jpg", in portions; tells how far it is.  Returns the name of the data.
export async function sendPictures(files, title, tell) {
  const wanted = files.filter(([path, file]) => PICTURE.test(path) && path.includes("/") && file.size <= LARGEST);
  if (!wanted.length) throw new Error("choose a folder that has a folder of pictures for each class, as cat/1.jpg and dog/2.jpg");
  let name = "", done = 0, kept = 0;
  while (done < wanted.length) {
    const part = [];
    let size = 0;
    while (done + part.length < wanted.length && part.length < MOST && size + wanted[done + part.length][1].size <= LARGEST) {
      size += wanted[done + part.length][1].size;
      part.push(wanted[done + part.length]);
    }
    const header = new TextEncoder().encode(JSON.stringify({ data: name, title, files: part.map(([path, file]) => ({ path, size: file.size })) }));
    const length = new DataView(new ArrayBuffer(4));
    length.setUint32(0, header.length);
    const found = await upload("pictures", new Blob([length, header, ...part.map(([, file]) => file)]));
    name = found.data;
    kept += found.kept;
    done += part.length;
    tell(`${done} of ${wanted.length} pictures sent`);
  }
  const left = files.length - kept;
  tell(`${kept} pictures${left ? `; ${left} other files were left out` : ""}`);
  return name;
}

// The files of a chosen folder, [path in the folder, file].
export function chosen(files) {
  return files.map((file) => [file.webkitRelativePath.split("/").slice(1).join("/"), file]);
}

// The files of what was dropped: a table, or the pictures of a folder.
export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const found = [];
  for (const entry of entries) await walk(entry, "", found);
  const tops = new Set(found.map(([path]) => path.split("/")[0]));
  const isOne = tops.size === 1 && found.every(([path]) => path.split("/").length > 2);
  return isOne ? found.map(([path, file]) => [path.split("/").slice(1).join("/"), file]) : found;
}

async function walk(entry, prefix, found) {
  const path = prefix + entry.name;
  if (entry.isFile) {
    found.push([path, await new Promise((done, fail) => entry.file(done, fail))]);
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const part = await new Promise((done, fail) => reader.readEntries(done, fail));
    if (!part.length) return;
    for (const one of part) await walk(one, `${path}/`, found);
  }
}

// The layers to begin with: a ConvNet for pictures, dense layers for the rest.
export function firstStack(found) {
  const out = found.outputs ?? 2;
  if (found.input?.length !== 3) return [{ layer: "Affine", width: 32 }, { layer: "ReLU" }, { layer: "Affine", width: out }];
  const layers = [];
  let side = Math.min(found.input[1], found.input[2]);
  for (let filters = 16; side >= 8 && filters <= 64; filters *= 2, side /= 2) {
    layers.push({ layer: "Conv2d", num_filters: filters, filter_size: 3, pad: 1 }, { layer: "BatchNorm" }, { layer: "ReLU" }, { layer: "MaxPool" });
  }
  return [...layers, { layer: "Affine", width: out }];
}

export async function shapeOf(data, target) {
  return post("check", { data, target, layers: [{ layer: "Affine", width: 2 }], settings: {} });
}
