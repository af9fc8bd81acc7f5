// What belongs together: places of the script, the sets of them that lines come from, and what is lit.

const FACTS = JSON.parse(document.getElementById("facts").textContent);
const { places: PLACES, sets: SETS, files: FILES } = FACTS;

// By set whether it is lit, as it is selected or pointed at.
const LIGHT = { lit: new Uint8Array(SETS.length), hover: new Uint8Array(SETS.length), selected: null };

// Places of the same line and layer, whatever their phase; and of a line, whatever their layer.
const SAME = new Map();
const OF_LINE = new Map();
PLACES.forEach(([file, line, layer], number) => {
  for (const [table, key] of [
    [SAME, `${file}:${line}:${layer}`],
    [OF_LINE, `${file}:${line}`],
  ]) {
    if (!table.has(key)) table.set(key, []);
    table.get(key).push(number);
  }
});

// The colour of each line of the script, in all texts: hues far apart for lines that are near.
const COLOUR_OF = new Map(
  [...OF_LINE.keys()]
    .map((key) => [key, key.slice(0, key.lastIndexOf(":")), Number(key.slice(key.lastIndexOf(":") + 1))])
    .sort(([, file, line], [, other, after]) => file - other || line - after)
    .map(([key], number) => {
      const hue = Math.round(number * 137.508) % 360;
      return [key, `light-dark(hsl(${hue} 70% 84%), hsl(${hue} 42% 25%))`];
    }),
);
const STRIPES = new Map(); // by set

// The background of a set of places: stripes of the colours of its first lines.
function stripes(set) {
  if (!STRIPES.has(set)) {
    const lines = new Set(SETS[set].map((place) => PLACES[place].slice(0, 2).join(":")));
    const colours = [...lines].slice(0, 3).map((line) => COLOUR_OF.get(line));
    const ends = (at) => `${(100 * at) / colours.length}% ${(100 * (at + 1)) / colours.length}%`;
    const parts = colours.map((colour, at) => `${colour} ${ends(at)}`);
    STRIPES.set(set, colours.length ? `linear-gradient(90deg, ${parts.join(", ")})` : "");
  }
  return STRIPES.get(set);
}

// The line itself, or the first line of the call that it continues.
function firstLine(file, line) {
  return FILES[file].first[line] ?? line;
}

function placesOfLine(file, line) {
  return OF_LINE.get(`${file}:${firstLine(file, line)}`) ?? [];
}

function sameLayers(places) {
  return places.flatMap((place) => SAME.get(PLACES[place].slice(0, 3).join(":")));
}

function fill(into, places) {
  into.fill(0);
  if (!places?.length) return;
  const wanted = new Set(places);
  for (let set = 1; set < SETS.length; set++) if (SETS[set].some((place) => wanted.has(place))) into[set] = 1;
}

function named(places) {
  const lines = new Set(places.map((place) => `${FILES[PLACES[place][0]].name}:${PLACES[place][1]}`));
  const layers = new Set(places.map((place) => PLACES[place][2]).filter(Boolean));
  const some = (items) => [...items].slice(0, 4).join(", ") + (items.size > 4 ? `, … ${items.size} in all` : "");
  return some(lines) + (layers.size ? ` · ${some(layers)}` : "");
}

// The share of time of each place, and of each set, where a graph's profile is given.
const HEAT = new Float64Array(SETS.length);
const PLACE_HEAT = new Map();

function heatBy(graph) {
  PLACE_HEAT.clear();
  for (const [place, share] of FACTS.times[graph]?.places ?? []) PLACE_HEAT.set(place, share);
  SETS.forEach((set, number) => (HEAT[number] = Math.max(0, ...set.map((place) => PLACE_HEAT.get(place) ?? 0))));
}

// Work that can wait, one piece a frame, so that no frame has much of it. A later piece of the same name replaces it.
const WAITING = new Map();

function soon(name, work) {
  if (!WAITING.size) requestAnimationFrame(workOff);
  WAITING.delete(name);
  WAITING.set(name, work);
}

function workOff() {
  const [name, work] = WAITING.entries().next().value;
  work();
  WAITING.delete(name);
  if (WAITING.size) requestAnimationFrame(workOff);
}
