// Draws a waveform from peaks into a canvas, over its whole width.

// Each canvas' paint function. One listener serves all: one for each canvas would keep removed canvases in memory.
const painters = new WeakMap();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
  requestAnimationFrame(() => document.querySelectorAll("canvas").forEach((canvas) => painters.get(canvas)?.())),
);

/** Decode a track's peaks from base64: signed bytes, lowest and highest in turn. */
export function decodePeaks(encoded) {
  return Int8Array.from(atob(encoded), (c) => c.charCodeAt(0));
}

/** Draw `peaks` into the canvas in its CSS colour; repaint when its size or the theme changes. */
export function drawWaveform(canvas, peaks) {
  const paint = () => {
    const scale = window.devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth * scale, canvas.clientHeight * scale].map(Math.round);
    if (!width || !height) return;
    Object.assign(canvas, { width, height });
    const pen = canvas.getContext("2d");
    pen.fillStyle = getComputedStyle(canvas).color;
    const count = peaks.length / 2;
    const middle = height / 2;
    for (let x = 0; x < width; x++) {
      const first = Math.floor((x * count) / width);
      const last = Math.max(first + 1, Math.floor(((x + 1) * count) / width));
      let [low, high] = [0, 0];
      for (let i = first; i < last; i++) {
        low = Math.min(low, peaks[2 * i]);
        high = Math.max(high, peaks[2 * i + 1]);
      }
      const top = middle - (high / 127) * middle;
      pen.fillRect(x, top, 1, Math.max(scale, ((high - low) / 127) * middle));
    }
  };
  new ResizeObserver(paint).observe(canvas);
  painters.set(canvas, paint);
}
