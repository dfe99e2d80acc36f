"""Small PNGs: a picture's colours become a palette of at most 256, which is what pages are made of.

Chromium decodes the picture and counts its colours; nothing else on the machine is needed.
"""

from __future__ import annotations

import base64
import struct
import zlib

from playwright.async_api import Page

# The commonest colours stay as they are; a rarer one is kept only if none of them is near, and what is near
# grows until all fit. So the edges of letters give way and the one red dot on the page does not.
_REDUCE = """async (picture) => {
  const bytes = Uint8Array.from(atob(picture), (one) => one.charCodeAt(0));
  const image = await createImageBitmap(new Blob([bytes], {type: "image/png"}));
  const {width, height} = image;
  const context = new OffscreenCanvas(width, height).getContext("2d");
  context.drawImage(image, 0, 0);
  const pixels = new Uint32Array(context.getImageData(0, 0, width, height).data.buffer);
  const counts = new Map();
  for (const pixel of pixels) counts.set(pixel, (counts.get(pixel) ?? 0) + 1);
  const parts = (pixel) => [pixel & 255, (pixel >> 8) & 255, (pixel >> 16) & 255];
  const ordered = [...counts].sort((a, b) => b[1] - a[1]).map(([pixel]) => [pixel, parts(pixel)]);
  const far = ([r, g, b], [pr, pg, pb]) => 2 * (r - pr) ** 2 + 4 * (g - pg) ** 2 + 3 * (b - pb) ** 2;
  const choose = (near) => {
    const palette = [];
    for (const [, colour] of ordered) {
      if (palette.every((kept) => far(colour, kept) > near)) palette.push(colour);
      if (palette.length > 256) return null;
    }
    return palette;
  };
  let palette = choose(0);
  if (!palette) {
    let [low, high] = [0, 1];
    while (!(palette = choose(high))) [low, high] = [high, high * 2];
    for (let round = 0; round < 6; round++) {
      const middle = (low + high) / 2, better = choose(middle);
      if (better) [palette, high] = [better, middle];
      else low = middle;
    }
  }
  const places = new Map(ordered.map(([pixel, colour]) => {
    let best = 0, least = Infinity;
    palette.forEach((kept, place) => {
      const distance = far(colour, kept);
      if (distance < least) [least, best] = [distance, place];
    });
    return [pixel, best];
  }));
  const indexes = new Uint8Array(pixels.length);
  pixels.forEach((pixel, at) => { indexes[at] = places.get(pixel); });
  let text = "";
  for (let at = 0; at < indexes.length; at += 32768)
    text += String.fromCharCode(...indexes.subarray(at, at + 32768));
  return {width, height, palette: palette.flat(), indexes: btoa(text)};
}"""


async def make_small(helper: Page, picture: bytes) -> bytes:
    """Return a screenshot as a small PNG; `helper` is any page without a policy."""
    found = await helper.evaluate(_REDUCE, base64.b64encode(picture).decode())
    width, height, palette = found["width"], found["height"], bytes(found["palette"])
    indexes = base64.b64decode(found["indexes"])
    rows = b"".join(b"\0" + indexes[at : at + width] for at in range(0, len(indexes), width))
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"PLTE", palette), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
