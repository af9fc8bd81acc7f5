// Tables beside the script: parameters, taps and times.

function table(into, heads, items) {
  if (!items.length) return;
  const element = made("table");
  const head = element.createTHead().insertRow();
  heads.forEach(([name, right]) =>
    head.append(Object.assign(made("th", right ? "right" : "", name), { scope: "col" })),
  );
  const body = element.createTBody();
  for (const { cells, set } of items) {
    const row = body.insertRow();
    cells.forEach((cell, at) => {
      const place = row.insertCell();
      if (heads[at][1]) place.className = "right";
      place.append(cell);
    });
    if (!set) continue;
    row.tabIndex = 0;
    row.dataset.set = set;
    row.addEventListener("click", () => select(SETS[set], row));
    row.addEventListener("keydown", (event) => event.key === "Enter" && select(SETS[set], row));
    row.addEventListener("pointerenter", () => point(SETS[set]));
    row.addEventListener("pointerleave", () => point([]));
  }
  byId(into).replaceChildren(element);
}

function rows() {
  for (const row of document.querySelectorAll("tr[data-set]")) {
    row.classList.toggle("lit", LIGHT.lit[row.dataset.set] === 1);
    row.classList.toggle("hover", LIGHT.hover[row.dataset.set] === 1);
  }
}

function bars(counts, label) {
  const [width, height, most] = [130, 30, Math.max(1, ...counts)];
  const picture = drawn("svg", { class: "bars", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  counts.forEach((count, at) => {
    const tall = count ? Math.max(1, (height * count) / most) : 0;
    const facts = {
      x: (at * width) / counts.length,
      y: height - tall,
      width: width / counts.length - 0.5,
      height: tall,
    };
    picture.append(drawn("rect", facts));
  });
  return picture;
}

function arrayRow(item) {
  const about = made("div", "", item.name);
  const range = item.range ? `${item.range.join(" … ")}${item.wrong ? `, ${item.wrong} not finite` : ""}` : "";
  about.append(made("div", "soft", `${item.type} · ${item.bytes.toLocaleString("en")} bytes`));
  const picture = made("div");
  picture.append(bars(item.counts, `histogram of ${item.name}, ${range}`), range);
  return { cells: [about, picture], set: item.set };
}

function tabs() {
  const given = {
    script: 1,
    parameters: FACTS.parameters.length,
    taps: FACTS.taps.length,
    time: Object.keys(FACTS.times).length,
  };
  const names = Object.keys(given).filter((name) => given[name]);
  const show = (name) =>
    names.forEach((other) => {
      byId(`tab-${other}`).hidden = other !== name;
      byId(`of-${other}`).setAttribute("aria-selected", String(other === name));
      byId(`of-${other}`).tabIndex = other === name ? 0 : -1;
    });
  const buttons = names.map((name) => {
    const button = made("button", "", name);
    Object.assign(button, { type: "button", id: `of-${name}` });
    button.setAttribute("role", "tab");
    button.setAttribute("aria-controls", `tab-${name}`);
    button.addEventListener("click", () => show(name));
    return button;
  });
  byId("tabs").replaceChildren(...buttons);
  byId("tabs").addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    const at = names.findIndex((name) => !byId(`tab-${name}`).hidden);
    const next = names[(at + by + names.length) % names.length];
    show(next);
    byId(`of-${next}`).focus();
  });
  show("script");
  table("tab-parameters", [["parameter"], ["values"]], FACTS.parameters.map(arrayRow));
  table("tab-taps", [["tap"], ["values"]], FACTS.taps.map(arrayRow));
}

const SMALL = 0.01; // share of the time below which kernels have one row

function shownTimes() {
  const all = FACTS.times[state.graph]?.rows ?? [];
  const [large, small] = [true, false].map((isLarge) => all.filter(({ share }) => share >= SMALL === isLarge));
  if (small.length < 2) return all;
  const sum = (name) => small.reduce((most, item) => most + item[name], 0);
  const others = { name: `${small.length} others`, layers: [], bound: "" };
  return [...large, { ...others, share: sum("share"), microseconds: sum("microseconds") }];
}

function showTimes() {
  const items = shownTimes().map((item) => {
    const share = made("div", "", `${(100 * item.share).toFixed(1)} %`);
    const bar = made("span", "share");
    bar.style.width = `${Math.max(1, 100 * item.share)}%`;
    share.append(bar, `${item.microseconds.toPrecision(3)} µs`);
    const name = made("div", "", item.name);
    name.append(made("div", "soft", item.layers.join(", ")));
    return { cells: [name, share, item.bound], set: item.set };
  });
  byId("tab-time").replaceChildren(made("p", "empty", `No times of ${state.graph} are given.`));
  table("tab-time", [["kernel"], ["time", 1], ["what bounds it"]], items);
  rows();
}
