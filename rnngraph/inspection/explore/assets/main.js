// Puts the page together: what is selected and searched, stages, addresses, keys.

// What is pointed at, and what is selected -------------------------------------------------------------

function lightBoxes() {
  for (const element of shown) {
    const { own, all } = FACTS.boxes[element.dataset.box];
    const sets = element.classList.contains("shut") ? [own, all] : [own]; // and so for what it holds
    for (const kind of ["lit", "hover"]) {
      const is = sets.some((set) => LIGHT[kind][set] === 1);
      element.classList.toggle(kind, is);
    }
  }
}

function relight() {
  script.light();
  state.panes.forEach((pane) => pane.lines.light());
  lightBoxes();
  rows();
}

let pending = null;
function point(places) {
  if (pending === null)
    requestAnimationFrame(() => {
      fill(LIGHT.hover, pending);
      pending = null;
      relight();
    });
  pending = places?.length ? sameLayers(places) : [];
}

// Selects places; from: the pane that is not to move.
function select(places, from = null) {
  LIGHT.selected = places.length ? [...new Set(places)] : null;
  fill(LIGHT.lit, LIGHT.selected);
  if (state.wanted) find("");
  relight();
  if (LIGHT.selected && from) soon("script", () => showFile(...PLACES[LIGHT.selected[0]].slice(0, 2)));
  soon("panes", () => state.panes.filter((pane) => pane !== from).forEach((pane) => pane.toFirst()));
  soon("rules", rules);
  soon("stages", listStages);
  soon("status", tell);
  const box = () => document.querySelector("#picture .net.shown .box.lit:not(.away)");
  if (LIGHT.selected && !from?.closest?.("#picture")) soon("picture", () => reveal(box()));
}

function tell() {
  byId("status").textContent = LIGHT.selected ? `${named(LIGHT.selected)} — ${litCounts()}` : idle();
}

const idle = () => "Point at a line or a box to see what belongs to it; click to keep it. Press ? for keys.";

function litCounts() {
  const graph = graphOf(state.graph);
  const parts = graph.stages.map((stage) => [litLines(graph.name, stage.name), stage.name]).filter(([count]) => count);
  const shown = parts.filter(([, name]) => ["graph", "loops", "llvm", "asm"].includes(name));
  const counts = shown.map(([count, name]) => `${name}: ${lineCount(count)}`).join(", ");
  return `${counts || "nothing"} of ${graph.name}`;
}

const lineCount = (count) => `${count.toLocaleString("en")} ${count === 1 ? "line" : "lines"}`;

function litLines(graph, name) {
  const text = textOf(graph, name);
  let count = 0;
  if (text && LIGHT.selected) for (const set of text.sets) count += LIGHT.lit[set];
  return count;
}

// Stages -----------------------------------------------------------------------------------------------

const NARROW = matchMedia("(max-width: 800px)"); // as in the style sheet

function listStages() {
  const graph = graphOf(state.graph);
  const nav = byId("stages");
  const open = nav.querySelector("details")?.open ?? false;
  const unchanged = made("details");
  const current = state.current?.stage;
  const entry = (stage) => {
    const button = made("button");
    button.type = "button";
    button.append(stage.name);
    const found = state.found.get(`${graph.name}/${stage.name}`)?.length ?? 0;
    const lit = state.wanted ? found : litLines(graph.name, stage.name);
    const badge = made(
      "span",
      `badge${lit ? (state.wanted ? " found" : " lit") : ""}`,
      lit ? lit.toLocaleString("en") : stage.changes ? changeCounts(stage.changes).replace(/ ?~\d+/, "") : "",
    );
    if (lit)
      badge.setAttribute("aria-label", `${lineCount(lit)} ${state.wanted ? "found" : "of what is selected"}`);
    button.append(badge);
    if (stage === current) button.setAttribute("aria-current", "true");
    button.addEventListener("click", () => go(graph.name, stage.name));
    return button;
  };
  const list = [];
  for (const stage of graph.stages) {
    if (stage.before && !stage.changes) unchanged.append(entry(stage));
    else list.push(entry(stage));
  }
  if (unchanged.children.length) {
    const { length } = unchanged.children;
    unchanged.prepend(made("summary", "", `${length} ${length === 1 ? "pass changes" : "passes change"} nothing`));
    unchanged.open = open || Boolean(current?.before && !current.changes);
    list.push(unchanged);
  }
  nav.replaceChildren(...list);
  const { offsetLeft, offsetWidth } = nav.querySelector("[aria-current]") ?? nav;
  if (NARROW.matches) nav.scrollLeft = offsetLeft - (nav.offsetWidth - offsetWidth) / 2;
}

function makeCurrent(pane) {
  if (state.current === pane) return;
  state.current?.element.classList.remove("current");
  state.current = pane;
  pane.element.classList.toggle("current", state.panes.length > 1);
  if (pane.stage) listStages();
}

// Shows a stage of a graph, in the current pane; line: from 1.
function go(graph, name, line = 0) {
  const other = graph !== state.graph;
  state.graph = graph;
  if (other) showGraph();
  state.current.show(name, line);
  soon("stages", listStages);
  address(`#${graph}/${name}${line ? `/${line}` : ""}`);
  if (line) state.current.lines.element.focus({ preventScroll: true });
}

function step(by) {
  const { stages } = graphOf(state.graph);
  const at = stages.indexOf(state.current.stage) + by;
  if (stages[at]) go(state.graph, stages[at].name);
}

function split() {
  if (state.panes.length > 1) {
    const gone = state.panes.pop();
    gone.element.remove();
    state.current = null;
    makeCurrent(state.panes[0]);
  } else {
    addPane().show("asm");
    state.panes[0].element.classList.toggle("current", true);
  }
  soon("rules", rules);
}

function addPane() {
  const pane = new Pane();
  state.panes.push(pane);
  byId("panes").append(pane.element);
  return pane;
}

// Places by their addresses: #stage/line, #graph/stage/line, #script/line.
function follow() {
  const parts = decodeURIComponent(location.hash.slice(1)).split("/");
  if (parts[0] === "script") {
    const line = Number(parts[1]) || 1;
    showFile(0, line);
    select(placesOfLine(0, line));
    return;
  }
  const graph = graphOf(parts[0]) ? parts.shift() : state.graph;
  const [name, line] = [parts[0], Number(parts[1]) || 0];
  if (!name || !stageOf(graph, name)) return;
  go(graph, name, line);
  const text = textOf(graph, name);
  if (text && line > 0 && line <= text.count) select(sameLayers(SETS[text.sets[line - 1]]), state.current);
}

// Search ---------------------------------------------------------------------------------------------------

function find(wanted) {
  state.wanted = wanted.toLowerCase();
  state.found = new Map();
  if (byId("search").value !== wanted) byId("search").value = wanted;
  if (state.wanted)
    for (const [id, text] of texts) if (id.startsWith(`${state.graph}/`)) state.found.set(id, text.find(state.wanted));
  const counts = [...state.found].filter(([id]) => id.startsWith(`${state.graph}/`)).map(([, lines]) => lines.length);
  const sum = counts.reduce((most, count) => most + count, 0);
  byId("found").textContent = state.wanted ? lineCount(sum) : "";
  for (const pane of state.panes) {
    pane.lines.wanted = state.wanted;
    pane.lines.render(true);
    if (state.wanted) pane.toFirst();
  }
  soon("rules", rules);
  script.wanted = state.wanted;
  script.render(true);
  soon("stages", listStages);
}

// Keys and widths ---------------------------------------------------------------------------------------------

const KEYS = {
  "/": () => byId("search").focus(),
  n: () => state.current.next(1),
  N: () => state.current.next(-1),
  "[": () => step(-1),
  "]": () => step(1),
  g: () => FACTS.graphs.length > 1 && byId("graphs").querySelector('[aria-checked="false"]').click(),
  d: () => state.current.toggle(),
  s: split,
  p: () => byId("alone").click(),
  "?": () => byId("help").click(),
  "+": () => zoom(1.25),
  "=": () => zoom(1.25),
  "-": () => zoom(1 / 1.25),
  0: fit,
  Escape: () => {
    if (!byId("keys").hidden) return byId("help").click();
    find("");
    select([]);
  },
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input[type=search]")) {
    if (event.key === "Escape") {
      find("");
      event.target.blur();
    }
    if (event.key === "Enter") state.current.next(event.shiftKey ? -1 : 1);
    return;
  }
  if (event.target.matches("select, input:not([type=checkbox])")) return;
  if (KEYS[event.key]) {
    event.preventDefault();
    KEYS[event.key]();
  }
});

for (const grip of document.querySelectorAll(".grip")) {
  const property = ["--left", "--middle"][grip.dataset.column];
  const section = grip.previousElementSibling;
  const set = (width) => {
    document.querySelector("main").style.setProperty(property, `${Math.max(120, width)}px`);
    soon("rules", rules);
  };
  grip.addEventListener("pointerdown", (event) => {
    const from = section.offsetWidth - event.clientX;
    grip.setPointerCapture(event.pointerId);
    grip.onpointermove = (moved) => set(from + moved.clientX);
    grip.onpointerup = () => (grip.onpointermove = null);
  });
  grip.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -24, ArrowRight: 24 }[event.key];
    if (by) set(section.offsetWidth + by);
  });
}

byId("help").addEventListener("click", () => {
  byId("keys").hidden = !byId("keys").hidden;
  byId("help").setAttribute("aria-expanded", String(!byId("keys").hidden));
});
byId("theme").addEventListener("click", () =>
  theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"),
);
function theme(name) {
  document.documentElement.dataset.theme = name;
  const style = getComputedStyle(document.documentElement);
  state.inks = ["--select", "--accent"].map((ink) => style.getPropertyValue(ink));
  soon("rules", rules);
}
["beside", "alone"].forEach((id) => byId(id).addEventListener("change", showPicture));
let typing = 0;
byId("search").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => find(byId("search").value), 120);
});
byId("file").addEventListener("change", () => showFile(Number(byId("file").value)));
window.addEventListener("hashchange", follow);

async function start() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  theme(dark.matches ? "dark" : "light");
  dark.addEventListener("change", () => theme(dark.matches ? "dark" : "light"));
  FILES.forEach((file, number) => byId("file").append(Object.assign(made("option", "", file.name), { value: number })));
  byId("file").parentElement.hidden = FILES.length < 2;
  readyBoxes();
  readyView();
  tabs();
  views();
  makeCurrent(addPane());
  if (!FILES.length) byId("script").replaceChildren(made("p", "empty", "No lines of a script are known."));
  showGraph();
  firstDetail();
  byId("status").textContent = idle();
  state.current.show(FIRST_STAGE);
  listStages();
  const order = FACTS.graphs.toSorted((one, other) => (other.name === state.graph) - (one.name === state.graph));
  for (const graph of order)
    for (const stage of graph.stages) {
      texts.set(`${graph.name}/${stage.name}`, await unpacked(`text-${graph.name}-${stage.name}`));
      if (stage === state.current.stage) state.current.layOut();
    }
  document.documentElement.dataset.ready = "yes";
  if (location.hash.length > 1) follow();
}
start();
