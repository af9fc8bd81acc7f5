// The picture: which of the graphs is shown, how much of it, and its boxes.

const boxes = [...document.querySelectorAll("#picture .box")];
let shown = []; // those of them that can be seen

const NEAREST = { block: "nearest", inline: "nearest" };
const LEAST_HEAT = 0.004; // share of the time by which a box is coloured

function showPicture() {
  const beside = byId("beside").checked;
  for (const level of document.querySelectorAll("#picture .level"))
    level.classList.toggle("shown", level.dataset.detail === state.detail);
  for (const net of document.querySelectorAll("#picture .net")) {
    net.classList.toggle(
      "shown",
      net.parentElement.dataset.detail === state.detail && (beside || net.dataset.graph === state.graph),
    );
  }
  byId("picture").classList.toggle("fit", byId("fit").checked);
  shown = boxes.filter((element) => element.closest(".net.shown"));
  lightBoxes();
}

function readyBoxes() {
  for (const net of document.querySelectorAll("#picture .net")) {
    net.style.setProperty("--natural", net.firstElementChild.getAttribute("width"));
  }
  for (const element of boxes) {
    const { all } = FACTS.boxes[element.dataset.box];
    element.setAttribute("tabindex", "0");
    element.setAttribute("role", "button");
    element.addEventListener("pointerover", (event) => {
      event.stopPropagation();
      point(SETS[all]);
    });
    element.addEventListener("focus", () => point(SETS[all]));
    element.addEventListener("click", (event) => {
      event.stopPropagation();
      select(SETS[all], element);
    });
    element.addEventListener("keydown", (event) => {
      if (event.key === "o") open(element);
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      select(SETS[all], element);
    });
    element.addEventListener("dblclick", (event) => {
      event.stopPropagation();
      open(element);
    });
  }
  byId("picture").addEventListener("pointerleave", () => point([]));
}

// Shows a box with more of what is in it; from the last level of detail, closed again.
function open(element) {
  const { details } = FACTS;
  state.detail = details[(details.indexOf(state.detail) + 1) % details.length];
  showPicture();
  refreshDetails();
  const same = boxes.find(
    (box) =>
      box.dataset.box === element.dataset.box &&
      box.dataset.graph === element.dataset.graph &&
      box.closest(".level.shown"),
  );
  same?.focus();
  same?.scrollIntoView({ block: "nearest" });
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
      button.tabIndex = names[at] === get() ? 0 : -1;
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
    state.panes.forEach((pane, at) => pane.show(stageOf(name, wanted[at]) ? wanted[at] : "lowered"));
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
    showPicture();
    refreshDetails();
  },
);

function showGraph() {
  refreshGraphs();
  showPicture();
  if (Object.keys(FACTS.times).length) soon("heat", showHeat);
  if (FILES.length && !script.rows) showFile(0);
  if (state.wanted) soon("find", () => find(state.wanted));
}

function showHeat() {
  heatBy(state.graph);
  for (const element of boxes) {
    const heat = HEAT[FACTS.boxes[element.dataset.box].own];
    element.classList.toggle("heated", heat > LEAST_HEAT);
    element.style.setProperty("--heat", `${Math.min(85, 100 * heat)}%`);
  }
  if (FILES.length) showFile(script.file);
  state.panes.forEach((pane) => pane.lines.render(true));
  showTimes();
}
