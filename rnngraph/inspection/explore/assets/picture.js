// The picture: which of the graphs is shown, which of its boxes are open, and what is selected by them.

const boxes = [...document.querySelectorAll("#picture .box")];
let shown = []; // those of them that can be seen

const LEGIBLE = 0.6; // scale of a picture whose texts can be read
const LEAST_HEAT = 0.004; // share of the time by which a box is coloured

function showPicture() {
  const beside = byId("beside").checked;
  for (const net of document.querySelectorAll("#picture .net"))
    net.classList.toggle("shown", beside || net.dataset.graph === state.graph);
  document.querySelector("main").classList.toggle("picture", byId("alone").checked);
  layPicture();
}

// Draws boxes as they are open or closed.
function layPicture() {
  NETS.forEach((net) => net.lay());
  shown = boxes.filter((element) => element.closest(".net.shown"));
  if (VIEW.isFitted) fit();
  lightBoxes();
}

function readyBoxes() {
  for (const element of boxes) {
    const { all } = FACTS.boxes[element.dataset.box];
    element.setAttribute("tabindex", "0");
    element.setAttribute("role", "button");
    element.addEventListener("pointerover", (event) => {
      event.stopPropagation();
      point(SETS[all]);
    });
    element.addEventListener("focus", () => {
      point(SETS[all]);
      if (element.matches(":focus-visible")) reveal(element);
    });
    element.addEventListener("click", (event) => {
      event.stopPropagation();
      select(SETS[all], element);
    });
    element.addEventListener("keydown", (event) => {
      if (event.key === "o") toggle(element);
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      select(SETS[all], element);
    });
    element.addEventListener("dblclick", (event) => {
      event.stopPropagation();
      toggle(element);
    });
    if (canClose(element)) addMark(element, () => toggle(element));
  }
  byId("picture").addEventListener("pointerleave", () => point([]));
}

// Opens a box, or closes it, in both graphs; what it holds stays as it was.
function toggle(element) {
  const key = element.dataset.box;
  if (!canClose(element)) return;
  if (!state.closed.delete(key)) state.closed.add(key);
  state.detail = null;
  layPicture();
  refreshDetails();
  if (Object.keys(FACTS.times).length) heatBoxes();
  element.focus();
  reveal(element);
}

function choices(into, names, get, set) {
  const buttons = names.map((name) => {
    const button = made("button", "", name);
    button.type = "button";
    button.setAttribute("role", "radio");
    button.addEventListener("click", () => set(name));
    return button;
  });
  byId(into).replaceChildren(...buttons);
  byId(into).addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    set(names[(names.indexOf(get()) + by + names.length) % names.length]);
    buttons[names.indexOf(get())].focus();
  });
  return () =>
    buttons.forEach((button, at) => {
      button.setAttribute("aria-checked", String(names[at] === get()));
      button.tabIndex = names[at] === get() || (!names.includes(get()) && !at) ? 0 : -1;
    });
}

const refreshGraphs = choices(
  "graphs",
  FACTS.graphs.map((graph) => graph.name),
  () => state.graph,
  (name) => {
    const wanted = state.panes.map((pane) => pane.stage.name);
    state.graph = name;
    showGraph();
    state.panes.forEach((pane, at) => pane.show(stageOf(name, wanted[at]) ? wanted[at] : FIRST_STAGE));
    soon("stages", listStages);
    soon("status", tell);
  },
);
const refreshDetails = choices(
  "details",
  FACTS.details,
  () => state.detail,
  (name) => {
    state.detail = name;
    state.closed = closedAt(name);
    layPicture();
    refreshDetails();
    if (Object.keys(FACTS.times).length) heatBoxes();
  },
);

// The most detail whose picture can be read where it fits, or that makes it no smaller than less detail does.
function firstDetail() {
  const scales = FACTS.details.map((name) => {
    state.closed = closedAt(name);
    NETS.forEach((net) => net.lay());
    return fitting(shownSizes()).scale;
  });
  const last = scales.findLastIndex((scale, at) => scale >= Math.min(LEGIBLE, scales[0]) - 0.01);
  state.detail = FACTS.details[Math.max(0, last)];
  state.closed = closedAt(state.detail);
  layPicture();
  refreshDetails();
}

// Below 800 pixels one part of the page is shown.
function views() {
  const sections = { script: "left", picture: "middle", stages: "right" };
  const main = document.querySelector("main");
  const refresh = choices(
    "views",
    Object.keys(sections),
    () => Object.keys(sections).find((name) => sections[name] === main.dataset.view),
    (name) => {
      main.dataset.view = sections[name];
      refresh();
      soon("stages", listStages);
      soon("rules", rules);
    },
  );
  refresh();
}

function showGraph() {
  refreshGraphs();
  showPicture();
  if (Object.keys(FACTS.times).length) soon("heat", showHeat);
  if (FILES.length && !script.rows) showFile(0);
  if (state.wanted) soon("find", () => find(state.wanted));
}

function showHeat() {
  heatBy(state.graph);
  heatBoxes();
  if (FILES.length) showFile(script.file);
  state.panes.forEach((pane) => pane.lines.render(true));
  showTimes();
}

// A closed box is as hot as the hottest that it holds.
function heatBoxes() {
  for (const element of boxes) {
    const { own, all } = FACTS.boxes[element.dataset.box];
    const heat = element.classList.contains("shut") ? Math.max(HEAT[own], HEAT[all]) : HEAT[own];
    element.classList.toggle("heated", heat > LEAST_HEAT);
    element.style.setProperty("--heat", Math.sqrt(Math.min(1, heat))); // of a colour on which all texts can be read
  }
}
