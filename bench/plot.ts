/** A curve as SVG: axes (linear or logarithmic), lines with their points, a legend. Owns the drawing, no figures. */
export interface Curve {
  /** Also the file's name. */
  readonly name: string;
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly series: readonly Series[];
}
export interface Axis {
  readonly label: string;
  readonly log?: boolean;
}
export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

const width = 720;
const height = 400;
const left = 70;
const right = 20;
const top = 40;
const bottom = 50;
const colours = ["#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b"];

/** Linear axes begin at 0, logarithmic ones at the power of ten below the least value. */
export function plot({ title, x, y, series }: Curve): string {
  const points = series.flatMap((one) => one.points);
  const xs = scale(
    x,
    points.map(([value]) => value),
    left,
    width - right,
  );
  const ys = scale(
    y,
    points.map(([, value]) => value),
    height - bottom,
    top,
  );
  const lines = [
    ...xs.ticks.map((tick) => line(xs.at(tick), top, xs.at(tick), height - bottom)),
    ...ys.ticks.map((tick) => line(left, ys.at(tick), width - right, ys.at(tick))),
    ...xs.ticks.map((tick) => text(xs.at(tick), height - bottom + 18, short(tick), "middle")),
    ...ys.ticks.map((tick) => text(left - 8, ys.at(tick) + 4, short(tick), "end")),
    text(width / 2, 22, title, "middle", 15),
    text(width / 2, height - 10, x.label, "middle"),
    `<g transform="translate(16 ${height / 2}) rotate(-90)">${text(0, 0, y.label, "middle")}</g>`,
    ...series.flatMap((one, i) => drawn(one, colours[i % colours.length] as string, xs.at, ys.at, top + 16 + i * 18)),
  ];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">
<title>${escaped(title)}</title>
<rect width="${width}" height="${height}" fill="#fff"/>
${lines.join("\n")}
</svg>
`;
}

function drawn(
  { name, points }: Series,
  colour: string,
  atX: (value: number) => number,
  atY: (value: number) => number,
  legendY: number,
): string[] {
  const places = points.map(([x, y]) => `${atX(x).toFixed(1)},${atY(y).toFixed(1)}`);
  const dots = points.length > 60 ? [] : places.map((place) => dot(place, colour));
  return [
    `<polyline points="${places.join(" ")}" fill="none" stroke="${colour}" stroke-width="1.5"/>`,
    ...dots,
    `<rect x="${left + 12}" y="${legendY - 9}" width="10" height="10" fill="${colour}"/>`,
    text(left + 28, legendY, name, "start"),
  ];
}

function scale({ log = false }: Axis, values: readonly number[], from: number, to: number) {
  const positive = values.filter((value) => value > 0);
  const low = log ? 10 ** Math.floor(Math.log10(Math.min(...positive))) : 0;
  const high = log ? 10 ** Math.ceil(Math.log10(Math.max(...positive, low * 10))) : roundUp(Math.max(...values, 1e-9));
  const map = (value: number) => (log ? Math.log10(Math.max(value, low)) : value);
  const at = (value: number) => from + ((map(value) - map(low)) / (map(high) - map(low))) * (to - from);
  const ticks = log
    ? Array.from({ length: Math.round(Math.log10(high / low)) + 1 }, (_, i) => low * 10 ** i)
    : Array.from({ length: 6 }, (_, i) => (high * i) / 5);
  return { at, ticks };
}

function roundUp(value: number): number {
  const unit = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 2.5, 5, 10].find((step) => step * unit >= value) ?? 10) * unit;
}

const line = (x1: number, y1: number, x2: number, y2: number) =>
  `<line x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}" stroke="#ddd"/>`;
const text = (x: number, y: number, content: string, anchor: string, size = 12) =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}" font-size="${size}">${escaped(content)}</text>`;
const dot = (place: string, colour: string) => {
  const [x, y] = place.split(",");
  return `<circle cx="${x}" cy="${y}" r="2.5" fill="${colour}"/>`;
};
const escaped = (content: string) => content.replace(/&/g, "&amp;").replace(/</g, "&lt;");
const short = (value: number) => Number(value.toPrecision(3)).toLocaleString("en-US").replaceAll(",", " ");
