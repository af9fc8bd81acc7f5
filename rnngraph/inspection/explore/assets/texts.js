// Texts of stages: how they are unpacked, coloured and shown. Only the lines that can be seen are in the document.

const HEIGHT = 18; // pixels of a line, as in the style sheet
const MOST_COLOURED = 2000; // characters of a line

async function unpacked(id) {
  const packed = atob(document.getElementById(id).textContent);
  const bytes = new Uint8Array(packed.length);
  for (let at = 0; at < packed.length; at++) bytes[at] = packed.charCodeAt(at);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const data = await new Response(stream).arrayBuffer();
  const count = new DataView(data).getUint32(0, true);
  return new StageText(
    new Uint32Array(data, 4, count),
    new Uint32Array(data, 4 + 4 * count, count),
    new TextDecoder().decode(new Uint8Array(data, 4 + 8 * count)),
  );
}

// A text with the end of each line and the set of places that it comes from.
class StageText {
  constructor(ends, sets, text) {
    Object.assign(this, { ends, sets, text, count: ends.length });
    this.widest = 0;
    for (let line = 0, start = 0; line < this.count; start = ends[line++])
      this.widest = Math.max(this.widest, ends[line] - start);
  }
  start(line) {
    return line ? this.ends[line - 1] : 0;
  }
  line(number) {
    return this.text.slice(this.start(number), this.ends[number] - 1);
  }
  // The line in which a character lies.
  lineAt(place) {
    let [low, high] = [0, this.count - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.ends[middle] > place) high = middle;
      else low = middle + 1;
    }
    return low;
  }
  // Numbers of the lines that hold a text, regardless of case.
  find(wanted) {
    this.lower ??= this.text.toLowerCase();
    const text = this.lower.length === this.text.length ? this.lower : this.text;
    const found = [];
    for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, this.ends[found.at(-1)])) {
      found.push(this.lineAt(at));
      if (this.ends[found.at(-1)] >= text.length) break;
    }
    return found;
  }
}

const WORDS = {
  python: `
    and as assert async await break class continue def del elif else except finally for from if import in is lambda
    None not or pass raise return True False try while with yield`,
  ir: `
    graph declared output next emit carry over with given function for fold when gives scan driver`,
  plan: `
    group kernel scan initial copy carries computes tile reads writes workers over`,
  loops: `
    function for over with given tile row store call in step unroll fold when gives`,
  llvm: `
    define declare internal private call br label ret phi load store getelementptr icmp fcmp select freeze
    insertelement extractelement shufflevector to align noalias attributes target source_filename switch`,
  asm: "",
};
const TOKENS = {
  python: /(?<c>#.*$)|(?<s>[rbfu]{0,2}(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'))|(?<n>\b\d[\w.]*)|(?<w>[A-Za-z_]\w*)/g,
  ir: /(?<c>#.*$)|(?<s>'(?:[^'\\]|\\.)*')|(?<t>\b(?:f32|f64|i32|i64|bool|bf16|i8|u8)(?:x\d+|\*|\[[^\]]*\])?)|(?<v>%[\w.]+)|(?<n>-?\b\d[\w.+]*)|(?<w>[A-Za-z_][\w.]*)/g,
  llvm: /(?<c>;.*$)|(?<s>"[^"]*")|(?<t>\b(?:i\d+|float|double|ptr|void|half|bfloat|x)\b)|(?<v>[%@#!][\w.]+)|(?<n>-?\b\d[\w.+]*)|(?<w>[A-Za-z_][\w.]*)/g,
  asm: /(?<c>#.*$)|(?<s>"[^"]*")|(?<v>%\w+)|(?<t>^[\w.$]+:)|(?<k>^\s*\.\w+)|(?<o>^\s+[a-z]\w*)|(?<n>\$?-?\b(?:0x)?\d[\w]*)/g,
};
const KEYWORDS = Object.fromEntries(Object.entries(WORDS).map(([name, text]) => [name, new Set(text.trim().split(/\s+/))]));

// Adds a line to an element, coloured; wanted: a text in lower case that is marked.
function colour(element, text, language, wanted) {
  const shown = text.length > MOST_COLOURED ? text.slice(0, MOST_COLOURED) : text;
  const pattern = TOKENS[language] ?? TOKENS.ir;
  let at = 0;
  pattern.lastIndex = 0;
  const add = (part, kind) => {
    if (!part) return;
    const place = wanted ? part.toLowerCase().indexOf(wanted) : -1;
    if (place >= 0) {
      add(part.slice(0, place), kind);
      element.append(made("mark", "", part.slice(place, place + wanted.length)));
      part = part.slice(place + wanted.length);
    }
    if (part) element.append(kind ? made("span", kind, part) : part);
  };
  for (let match; (match = pattern.exec(shown)); at = pattern.lastIndex) {
    const kind = Object.keys(match.groups).find((name) => match.groups[name] !== undefined);
    const word = kind === "w" ? (KEYWORDS[language]?.has(match[0]) ? "k" : "") : kind;
    add(shown.slice(at, match.index), "");
    add(match[0], word);
  }
  add(text.slice(at), "");
}

function made(name, kind, text) {
  const element = document.createElement(name);
  if (kind) element.className = kind;
  if (text !== undefined) element.textContent = text;
  return element;
}

// A long list of lines of which those in view are rendered. rows: {count, widest, at(number)}, where at gives
// {text, number, set, kind, sign, language}. It is a listbox to screen readers.
class Lines {
  constructor(element, label, { onPoint, onPick, onCursor }) {
    Object.assign(this, { element, onPoint, onPick, onCursor, rows: null, cursor: -1, wanted: "" });
    this.id = `lines${Lines.made++}`;
    Object.entries({ role: "listbox", tabindex: "0", "aria-label": label }).forEach((pair) =>
      element.setAttribute(...pair),
    );
    this.space = made("div", "space");
    this.body = made("div", "rows");
    this.space.append(this.body);
    element.replaceChildren(this.space);
    element.addEventListener(
      "scroll",
      () => {
        this.top = element.scrollTop;
        this.later();
      },
      { passive: true },
    );
    this.height = this.top = 0; // as they were seen last: to ask for them would lay the page out
    new ResizeObserver(([seen]) => {
      this.height = seen.contentRect.height;
      this.later();
    }).observe(element);
    const of = (event) => Number(event.target.closest(".line")?.dataset.row ?? -1);
    element.addEventListener("pointermove", (event) => this.point(of(event)));
    element.addEventListener("pointerleave", () => this.point(-1));
    element.addEventListener("click", (event) => of(event) >= 0 && this.pick(of(event)));
    element.addEventListener("keydown", (event) => this.key(event));
  }
  show(rows) {
    this.rows = rows;
    this.cursor = Math.min(this.cursor, rows.count - 1);
    this.space.style.height = `${rows.count * HEIGHT}px`;
    this.space.style.width = `${rows.widest + 12}ch`;
    this.first = -1;
    this.render();
  }
  later() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.render();
    });
  }
  render(anew = false) {
    if (!this.rows) return;
    const first = Math.max(0, Math.min(Math.floor(this.top / HEIGHT) - 4, this.rows.count - 1));
    const last = Math.min(this.rows.count, first + Math.ceil(this.height / HEIGHT) + 8);
    if (!anew && first === this.first && last === this.last) return;
    const kept =
      anew || this.first < 0
        ? new Map()
        : new Map([...this.body.children].map((row) => [Number(row.dataset.row), row]));
    [this.first, this.last] = [first, last];
    const shown = [];
    for (let number = first; number < last; number++) shown.push(kept.get(number) ?? this.row(number));
    this.body.replaceChildren(...shown);
    this.body.style.transform = `translateY(${first * HEIGHT}px)`;
  }
  row(number) {
    const row = this.rows.at(number);
    const element = made("div", "line");
    element.id = `${this.id}-${number}`;
    element.dataset.row = number;
    const facts = {
      role: "option",
      "aria-posinset": number + 1,
      "aria-setsize": this.rows.count,
      "aria-selected": "false",
    };
    Object.entries(facts).forEach((pair) => element.setAttribute(...pair));
    const background = stripes(row.set);
    const label = made("span", `number${row.narrow ? " narrow" : ""}${background ? " of-line" : ""}`, row.number);
    label.style.background = background;
    if (row.heat > 0.005) {
      const bar = made("span", "heat");
      bar.style.width = `${Math.max(2, 10 * Math.min(1, row.heat))}px`;
      bar.title = `${(100 * row.heat).toFixed(1)} % of the time`;
      label.append(bar);
    }
    element.append(label);
    if (row.sign !== undefined) {
      const sign = made("span", "sign", row.sign);
      if (row.sign === "~") sign.title = "the same but for the numbers of names";
      element.append(sign);
    }
    const text = made("span");
    colour(text, row.text, row.language, this.wanted);
    element.append(text);
    element.dataset.kind = row.kind ?? "";
    this.mark(element, row.set, number);
    return element;
  }
  mark(element, set, number) {
    const kind = element.dataset.kind;
    const lit = LIGHT.lit[set] ? " lit" : "";
    const name = `line ${kind}${lit}${LIGHT.hover[set] ? " hover" : ""}${number === this.cursor ? " cursor" : ""}`;
    if (element.className === name) return;
    element.className = name;
    element.setAttribute("aria-selected", lit ? "true" : "false");
  }
  // Lights the lines in view anew, whose texts stay.
  light() {
    for (const element of this.body.children) {
      const number = Number(element.dataset.row);
      this.mark(element, this.rows.at(number).set, number);
    }
  }
  reveal(number, always = false) {
    if (always || !this.isSeen(number)) {
      const lowest = this.rows.count * HEIGHT - this.height;
      this.top = Math.max(0, Math.min(number * HEIGHT - this.height / 3, lowest));
      this.element.scrollTop = this.top;
    }
    this.render();
  }
  isSeen(number) {
    return number * HEIGHT >= this.top && (number + 1) * HEIGHT <= this.top + this.height;
  }
  point(number) {
    if (number === this.pointed) return;
    this.pointed = number;
    this.onPoint(number < 0 ? 0 : this.rows.at(number).set, number);
  }
  move(number) {
    this.cursor = Math.max(0, Math.min(this.rows.count - 1, number));
    this.reveal(this.cursor);
    this.element.setAttribute("aria-activedescendant", `${this.id}-${this.cursor}`);
    this.onCursor?.(this.cursor);
    this.light();
  }
  pick(number) {
    this.move(number);
    this.onPick(this.rows.at(number), number);
  }
  key(event) {
    const page = Math.max(1, Math.floor(this.height / HEIGHT) - 2);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key in steps) this.move(this.cursor + steps[event.key]);
    else if ((event.key === "Enter" || event.key === " ") && this.cursor >= 0) this.pick(this.cursor);
    else return;
    event.preventDefault();
  }
}
Lines.made = 0;
