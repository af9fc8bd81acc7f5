// Boxes that are closed and opened one by one. The layout is that of the open picture: what lies below a box that is
// closed moves up, and nothing moves sideways.

const SVG = "http://www.w3.org/2000/svg";
const numberOf = (element, name) => Number(element.getAttribute(name));
const move = (element, by) =>
  by ? element.setAttribute("transform", `translate(0 ${by})`) : element.removeAttribute("transform");

// The picture of one graph.
class Net {
  constructor(element) {
    this.svg = element.querySelector("svg");
    this.height = numberOf(this.svg, "height");
    this.boxes = new Map();
    for (const figure of element.querySelectorAll(".box")) {
      const box = this.read(figure);
      this.boxes.set(box.key, box);
      (this.around(box.key)?.inner ?? this.tops).push(box);
    }
    this.arrows = [...element.querySelectorAll(".arrow[data-points]")].map((figure) => ({
      figure,
      source: this.boxes.get(figure.dataset.source),
      target: this.boxes.get(figure.dataset.target),
      points: figure.dataset.points.split(" ").map((point) => point.split(",").map(Number)),
      label: figure.querySelector("text"),
    }));
    this.rows = [...Map.groupBy(this.tops, (box) => box.y)].sort(([one], [other]) => one - other);
  }

  tops = [];

  read(figure) {
    const closed = figure.querySelector(":scope > .closed > rect");
    const open = figure.querySelector(":scope > .open") ?? figure;
    const rectangle = open.querySelector(":scope > rect");
    const states = open.querySelectorAll(":scope > text.state").length;
    return {
      key: figure.dataset.box,
      figure,
      rectangle,
      y: numberOf(rectangle, "y"),
      height: numberOf(rectangle, "height"),
      least: closed ? numberOf(closed, "height") : 0, // when it is closed
      lowest: states ? 17 * (states + 1) : 0, // with nothing in it
      shapes: [...open.children].slice(open === figure ? Infinity : 0).filter((shape) => shape !== rectangle),
      canClose: Boolean(closed),
      inner: [],
    };
  }

  // The box that a box lies in; wrappers that only the other graph has are not there.
  around(key) {
    for (let at = key.lastIndexOf("."); at > 0; at = key.lastIndexOf(".", at - 1))
      if (this.boxes.has(key.slice(0, at))) return this.boxes.get(key.slice(0, at));
    return null;
  }

  isClosed(box) {
    return box.canClose && state.closed.has(box.key);
  }

  // By how much a box is lower than when all of it is open.
  saved(box) {
    if (this.isClosed(box)) return box.height - box.least;
    const inner = box.inner.reduce((sum, one) => sum + this.saved(one), 0);
    return Math.min(inner, box.height - box.lowest);
  }

  // Draws what is closed and what is open.
  lay() {
    let gone = 0;
    const cuts = []; // how much is gone below each row
    for (const [y, row] of this.rows) {
      for (const box of row) this.place(box, -gone);
      const high = (of) => Math.max(...row.map(of));
      gone += high((box) => box.height) - high((box) => box.height - this.saved(box));
      cuts.push([y, gone]);
    }
    const moved = (y) => -(cuts.findLast(([top]) => top + 1 < y)?.[1] ?? 0);
    for (const arrow of this.arrows) this.draw(arrow, moved);
    const height = Math.ceil(this.height - gone);
    this.svg.setAttribute("height", height);
    this.svg.setAttribute("viewBox", `0 0 ${this.svg.getAttribute("width")} ${height}`);
  }

  place(box, by, hidden = false) {
    const { figure, rectangle } = box;
    box.by = by;
    move(figure, by);
    figure.classList.toggle("shut", this.isClosed(box));
    figure.classList.toggle("away", hidden);
    if (box.canClose) figure.setAttribute("aria-expanded", String(!this.isClosed(box)));
    const saved = this.saved(box);
    rectangle.setAttribute("height", box.height - saved);
    const ends = [];
    let gone = 0;
    for (const one of box.inner) {
      this.place(one, by - gone, hidden || this.isClosed(box));
      gone += this.saved(one);
      ends.push([one.y + one.height, gone]);
    }
    for (const shape of box.shapes) {
      if (shape.matches("path.loop")) {
        const top = box.y + 11;
        const share = (box.height - saved - 20) / (box.height - 20);
        shape.setAttribute("transform", `translate(0 ${top}) scale(1 ${share}) translate(0 ${-top})`);
      } else if (shape.matches("text.state")) move(shape, -saved / 2);
      else if (!shape.matches("polygon.loop")) {
        const at = bottomOf(shape);
        move(shape, -(ends.findLast(([end]) => end <= at + 1)?.[1] ?? 0));
      }
    }
  }

  draw({ figure, source, target, points, label }, moved) {
    const by = points.map(([, y]) => moved(y));
    if (source) by[0] = source.by - this.saved(source);
    if (target) by[by.length - 1] = target.by;
    const placed = points.map(([x, y], at) => [x, y + by[at]]);
    const curves = placed.slice(1).map(([x, y], at) => {
      const half = (placed[at][1] + y) / 2;
      return `C${placed[at][0]} ${half} ${x} ${half} ${x} ${y}`;
    });
    figure.querySelector("path").setAttribute("d", `M${placed[0].join(" ")}${curves.join("")}`);
    const head = figure.querySelector("polygon");
    if (head) move(head, by.at(-1));
    if (!label) return;
    const after = points.findIndex(([, y]) => y >= numberOf(label, "y") - 4);
    move(label, (by[after - 1] + by[after]) / 2);
  }
}

// Where a row, an arrow or its head ends.
function bottomOf(shape) {
  if (shape.hasAttribute("y")) return numberOf(shape, "y");
  const numbers = (shape.getAttribute("d") ?? shape.getAttribute("points")).match(/[-\d.]+/g).map(Number);
  return shape.hasAttribute("d") ? numbers.at(-1) : numbers[1];
}

const NETS = [...document.querySelectorAll("#picture .net")].map((net) => new Net(net));

// The boxes that a level of detail closes.
function closedAt(detail) {
  const kinds = { layers: null, cells: ["cell", "layer"], equations: [] }[detail];
  const all = NETS.flatMap((net) => [...net.boxes.values()]).filter((box) => box.canClose);
  const isFolded = ({ key }) => FACTS.boxes[key].folded;
  const chosen = all.filter(
    (box) => isFolded(box) || (kinds ? kinds.includes(box.figure.dataset.kind) : !box.key.includes(".")),
  );
  return new Set(chosen.map((box) => box.key));
}

const canClose = (element) => element.querySelector(":scope > .closed") !== null;

// A box's mark at its corner, which says whether it is open, and opens or closes it.
function addMark(element, pressed) {
  const rectangle = element.querySelector("rect");
  const mark = drawn("g", { class: "mark", "aria-hidden": "true" }); // aria-expanded and a key say and do the same
  const [x, y] = [numberOf(rectangle, "x") + numberOf(rectangle, "width") - 1, numberOf(rectangle, "y") + 1];
  mark.append(drawn("circle", { cx: x, cy: y, r: 7 }));
  mark.append(drawn("path", { d: `M${x - 3.5} ${y}h7` }));
  mark.append(drawn("path", { d: `M${x} ${y - 3.5}v7`, class: "plus" }));
  mark.addEventListener("click", (event) => {
    event.stopPropagation();
    pressed();
  });
  mark.addEventListener("dblclick", (event) => event.stopPropagation());
  element.append(mark);
}

function drawn(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}
