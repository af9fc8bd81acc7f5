// Panes: the script, the picture, and one or two stages, of which one is current.

const byId = (id) => document.getElementById(id);
const state = {
  graph: FACTS.graphs.at(-1).name,
  detail: "layers", // as long as no box was opened or closed by itself
  closed: new Set(), // keys of boxes
  panes: [],
  current: null,
  wanted: "",
  found: new Map(),
};
const texts = new Map(); // unpacked, by their ids

const FIRST_STAGE = "graph";
const graphOf = (name) => FACTS.graphs.find((graph) => graph.name === name);
const stageOf = (graph, name) => graphOf(graph).stages.find((stage) => stage.name === name);
const textOf = (graph, name) => texts.get(`${graph}/${name}`);

// The place that is shown, as the page's address; frames of notebooks have none.
function address(hash) {
  try {
    history.replaceState(null, "", hash);
  } catch {}
}

// A pane with one stage.
class Pane {
  constructor() {
    this.element = made("div", "pane");
    const bar = made("div", "bar");
    this.title = made("h2");
    this.facts = made("span");
    this.whole = made("button", "", "whole text");
    this.whole.type = "button";
    this.whole.addEventListener("click", () => this.toggle());
    bar.append(this.title, this.facts, made("span", "fill"), this.whole);
    this.about = made("div", "about");
    const body = made("div", "body");
    const list = made("div", "lines");
    this.ruler = made("canvas", "ruler");
    this.ruler.setAttribute("aria-hidden", "true");
    body.append(list, this.ruler);
    this.element.append(bar, this.about, body);
    this.lines = new Lines(list, "Text of the stage", {
      onPoint: (set) => point(SETS[set]),
      onPick: (row) => this.pick(row),
      onCursor: (number) => this.told(number),
    });
    this.element.addEventListener("focusin", () => makeCurrent(this));
    this.ruler.addEventListener("click", (event) => {
      const share = event.offsetY / this.ruler.clientHeight;
      this.lines.reveal(Math.floor(share * this.lines.rows.count), true);
    });
    this.diff = true;
    this.open_ = new Set(); // folds that were opened
  }
  // Shows a stage of the current graph; line: its number from 1, which is revealed.
  show(name, line = 0) {
    const stage = stageOf(state.graph, name);
    if (this.stage !== stage) this.open_.clear();
    this.stage = stage;
    this.graph = state.graph;
    this.title.textContent = stage.name;
    const took = stage.seconds ? `${(1e3 * stage.seconds).toFixed(1)} ms` : "";
    const counts = stage.changes ? changeCounts(stage.changes) : stage.before ? "changes nothing" : "";
    this.facts.textContent = [`${stage.count.toLocaleString("en")} lines`, counts, took].filter(Boolean).join(" · ");
    this.about.replaceChildren(stage.about);
    if (stage.law) this.about.append(made("br"), made("b", "", "Law: "), stage.law);
    this.about.hidden = !stage.about;
    this.whole.hidden = !stage.changes;
    this.layOut(line);
  }
  layOut(line = 0) {
    const { stage } = this;
    const text = textOf(this.graph, stage.name);
    this.whole.textContent = this.diff ? "whole text" : "changes";
    if (!text) {
      this.lines.show({ count: 1, widest: 20, at: () => ({ text: "unpacking …", number: "", set: 0 }) });
      return;
    }
    const before = stage.changes && textOf(this.graph, stage.before);
    this.rows = before && this.diff ? diffRows(stage.changes, this.open_) : null;
    const language = stage.name in KEYWORDS ? stage.name : "ir"; // graphs have the names of values
    const at = (number) => {
      if (!this.rows)
        return {
          text: text.line(number),
          number: number + 1,
          set: text.sets[number],
          language,
          heat: HEAT[text.sets[number]],
          line: number,
        };
      const { kind, first, last } = this.rows[number];
      if (kind === "fold")
        return { text: `⋯ ${last - first} lines that are the same`, number: "", set: 0, kind, language, fold: first };
      const of = kind === "delete" ? before : text;
      const sign = { insert: "+", delete: "−", numbered: "~" }[kind] ?? " ";
      return {
        text: of.line(first),
        number: kind === "delete" ? "" : first + 1,
        set: of.sets[first],
        kind,
        sign,
        language,
        heat: kind === "delete" ? 0 : HEAT[of.sets[first]],
        line: kind === "delete" ? -1 : first,
      };
    };
    this.lines.wanted = state.wanted;
    this.lines.cursor = -1;
    this.lines.show({ count: this.rows ? this.rows.length : text.count, widest: text.widest, at });
    if (line) this.go(line);
    else this.toFirst();
    soon("rules", rules);
  }
  // The row of a line, where it can be seen; folds over it are opened.
  rowOf(line) {
    if (!this.rows) return line;
    const covers = (row) => row.kind === "fold" && row.first <= line && line < row.last;
    const fold = this.rows.find(covers);
    if (fold) {
      this.open_.add(fold.first);
      this.layOutQuietly();
    }
    return this.rows.findIndex((row) => row.kind !== "delete" && row.kind !== "fold" && row.first === line);
  }
  layOutQuietly() {
    this.rows = diffRows(this.stage.changes, this.open_);
    this.lines.show({ ...this.lines.rows, count: this.rows.length });
  }
  go(line) {
    const row = this.rowOf(Math.min(line, this.stage.count) - 1);
    if (row >= 0) {
      this.lines.cursor = row;
      this.lines.reveal(row, true);
      this.lines.light();
      this.lines.element.setAttribute("aria-activedescendant", `${this.lines.id}-${row}`);
    }
  }
  pick(row) {
    if (row.kind === "fold") {
      this.open_.add(row.fold);
      this.layOutQuietly();
      return;
    }
    select(sameLayers(SETS[row.set]), this);
  }
  told(number) {
    const { line } = this.lines.rows.at(number);
    if (line >= 0) address(`#${this.graph}/${this.stage.name}/${line + 1}`);
  }
  toggle() {
    if (!this.stage.changes) return;
    this.diff = !this.diff;
    this.layOut();
  }
  // Lines that are lit, or that hold what is searched.
  markedLines() {
    const text = textOf(this.graph, this.stage.name);
    if (!text) return [];
    if (state.wanted) return state.found.get(`${this.graph}/${this.stage.name}`) ?? [];
    const lines = [];
    if (LIGHT.selected) for (let line = 0; line < text.count; line++) if (LIGHT.lit[text.sets[line]]) lines.push(line);
    return lines;
  }
  // Their rows.
  marked() {
    const lines = this.markedLines();
    if (!this.rows || !lines.length) return lines;
    const wanted = new Set(lines);
    const rows = [];
    this.rows.forEach(
      ({ kind, first }, row) => kind !== "delete" && kind !== "fold" && wanted.has(first) && rows.push(row),
    );
    return rows;
  }
  // Shows the first of them, also where they are all folded.
  toFirst() {
    let rows = this.marked();
    if (!rows.length && this.rows) {
      const [line] = this.markedLines();
      if (line !== undefined) rows = [this.rowOf(line)];
    }
    if (rows.length) {
      if (!rows.some((row) => this.lines.isSeen(row))) this.lines.reveal(rows[0], true);
    } else if (this.lines.rows.count * HEIGHT < this.lines.top) this.lines.reveal(0, true);
  }
  next(step) {
    const rows = this.marked();
    if (!rows.length) return;
    const after =
      step > 0 ? rows.find((row) => row > this.lines.cursor) : rows.findLast((row) => row < this.lines.cursor);
    this.lines.move(after ?? (step > 0 ? rows[0] : rows.at(-1)));
    this.lines.reveal(this.lines.cursor, true);
  }
  // Marks beside the text where lit lines are.
  rule() {
    const [width, height] = [RULER, Math.floor(this.lines.height)];
    if (!height) return;
    [this.ruler.width, this.ruler.height] = [width, height];
    const paint = this.ruler.getContext("2d");
    paint.fillStyle = state.inks[state.wanted ? 1 : 0];
    const count = Math.max(this.lines.rows.count, 1);
    let last = -3;
    for (const row of this.marked()) {
      const at = Math.floor((row / count) * height);
      if (at - last >= 2) paint.fillRect(2, (last = at), width - 4, 2);
    }
  }
}

const RULER = 11; // pixels, as in the style sheet
const rules = () => state.panes.forEach((pane) => pane.rule());
const CONTEXT = 3; // lines around a change

// Rows of a pass's changes: {kind, first, last}; what is the same far from changes is folded, unless it was opened.
function diffRows(changes, opened) {
  const rows = [];
  const add = (kind, first, last) => {
    for (let line = first; line < last; line++) rows.push({ kind, first: line, last: line + 1 });
  };
  changes.forEach(([tag, from, to, first, last], place) => {
    if (tag === "equal") {
      const start = place ? first + CONTEXT : first;
      const end = place < changes.length - 1 ? last - CONTEXT : last;
      if (end - start < 4 || opened.has(start)) return add("equal", first, last);
      add("equal", first, start);
      rows.push({ kind: "fold", first: start, last: end });
      return add("equal", end, last);
    }
    if (tag === "numbered") return add("numbered", first, last);
    add("delete", from, to);
    add("insert", first, last);
  });
  return rows;
}

function changeCounts(changes) {
  let [removed, added, numbered] = [0, 0, 0];
  for (const [tag, from, to, first, last] of changes) {
    if (tag === "numbered") numbered += last - first;
    else if (tag !== "equal") [removed, added] = [removed + to - from, added + last - first];
  }
  return [added && `+${added}`, removed && `−${removed}`, numbered && `~${numbered}`].filter(Boolean).join(" ");
}

// The script -----------------------------------------------------------------------------------------

const script = new Lines(byId("script"), "Script", {
  onPoint: (set, row) => point(row < 0 ? [] : placesOfLine(script.file, row + 1)),
  onPick: (_, number) => {
    select(placesOfLine(script.file, number + 1));
    address(`#script/${number + 1}`);
  },
});

function showFile(number, line = 0) {
  const file = FILES[number];
  if (script.file !== number || line) {
    script.file = number;
    byId("file").value = number;
  }
  const sets = new Map(FACTS.lines[number]);
  const heats = new Map();
  for (const [place, share] of PLACE_HEAT) {
    const [of, at] = PLACES[place];
    if (of === number) heats.set(at, (heats.get(at) ?? 0) + share);
  }
  const last = Math.max(0, ...sets.keys());
  const text =
    file.lines ??
    Array.from({ length: last }, (_, at) => (sets.has(at + 1) ? "(the text of this line is not known here)" : ""));
  script.show({
    count: text.length,
    widest: text.reduce((most, row) => Math.max(most, row.length), 0),
    at: (row) => ({
      text: text[row],
      number: row + 1,
      set: sets.get(firstLine(number, row + 1)) ?? 0,
      narrow: true,
      language: file.lines ? "python" : "none",
      heat: heats.get(row + 1) ?? 0,
    }),
  });
  if (line) script.reveal(line - 1);
}
