"use strict";
// What /about tells decides what a person can put in; what /predict answers decides how it is drawn.
(() => {
  const $ = (id) => document.getElementById(id);
  const FEW = 10;
  let about;
  let newest = 0; // an answer that comes after a newer question was asked is not shown

  /** Build an element: el("p", { class: "quiet" }, "text", child). */
  function el(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
      else if (value === true) made.setAttribute(key, "");
      else if (value !== false && value != null) made.setAttribute(key, value);
    }
    made.append(...children.filter((child) => child != null));
    return made;
  }

  const percent = (p) => (p == null ? "–" : p > 0 && p < 0.0005 ? "< 0.1 %" : `${(100 * p).toFixed(1)} %`);
  const number = (x, digits = 6) => (x == null ? "–" : String(Number(x.toPrecision(digits))));
  const words = { iou: "IoU", mae: "MAE", mse: "MSE", rmse: "RMSE", r2: "R²", roc_auc: "ROC AUC", macro_f1: "macro F1" };
  const word = (name) => words[name] || name.replaceAll("_", " ");

  // --- asking

  async function ask(body, type) {
    const reply = await fetch("predict", { method: "POST", body, headers: type ? { "Content-Type": type } : {} });
    const told = await reply.json().catch(() => ({ error: { message: `The server answered ${reply.status}.`, hint: "" } }));
    if (told.error) throw told.error;
    return told.answers;
  }

  /** Ask, and draw the answers with `draw(answer, place)`; errors are shown in their place. */
  async function answer(body, type, draw) {
    const mine = (newest += 1);
    $("output").setAttribute("aria-busy", "true");
    const slow = setTimeout(() => mine === newest && show(el("div", { class: "card empty" }, el("p", {}, "Working …"))), 400);
    try {
      const answers = await ask(body, type);
      if (mine !== newest) return;
      show(...answers.map(draw));
      $("output").scrollIntoView({ block: "nearest" });
    } catch (error) {
      if (mine === newest) show(fault(error));
    } finally {
      clearTimeout(slow);
      if (mine === newest) $("output").removeAttribute("aria-busy");
    }
  }

  function show(...cards) {
    $("output").replaceChildren(...cards);
  }

  function fault(error) {
    const lost = error instanceof TypeError;
    const message = lost ? "The server doesn't answer." : error.message || String(error);
    const hint = lost ? "Is it still running? Look at its terminal." : error.hint;
    return el("div", { class: "card error", role: "alert" }, el("strong", {}, message), hint ? el("p", {}, hint) : null);
  }

  // --- answers

  function card(values, title, picture, truth) {
    const masked = values.mask != null;
    const told = el("div", {}, ...said(values, picture));
    if (truth != null) told.append(verdict(values, truth));
    for (const each of values.outside || []) told.append(el("p", { class: "outside" }, `Outside the training's data: ${each.said}.`));
    const shown = masked ? null : picture;
    const kind = `answer${masked ? " mask" : shown ? " pictured" : ""}`;
    return el("article", { class: "card" }, title ? el("h2", {}, title) : null, el("div", { class: kind }, shown, told));
  }

  function said(values, picture) {
    if (values.probabilities) return classes(values);
    if (values.mask != null) return masks(values, picture);
    if (typeof values.text === "string") return [written(values)];
    const list = el("dl", { class: "values" });
    for (const [name, value] of Object.entries(values)) {
      if (name === "outside") continue;
      const files = (Array.isArray(value) ? value : [value]).filter((each) => each?.media_type);
      if (files.length) {
        list.append(el("dt", {}, name), el("dd", {}, ...files.map((each) => file(name, each))));
        continue;
      }
      const text = typeof value === "number" ? number(value) : typeof value === "string" ? value : JSON.stringify(value);
      list.append(el("dt", {}, name === "value" ? about.target : name), el("dd", {}, text));
    }
    return [list];
  }

  /** A value that is a file: an image or audio is shown, all else can be saved. */
  function file(name, { media_type: type, base64 }) {
    const source = `data:${type};base64,${base64}`;
    if (type.startsWith("audio/")) return el("audio", { src: source, controls: true });
    if (!type.startsWith("image/")) return el("a", { href: source, download: name }, type);
    return picture(source, name);
  }

  function classes(values) {
    const rows = Object.entries(values.probabilities).sort((a, b) => b[1] - a[1]);
    const best = values.labels || [values.label];  // several may be true, or none
    const sure = values.probability == null ? null : el("small", {}, percent(values.probability));
    const label = el("p", { class: "label" }, best.join(", ") || "none", " ", sure);
    const list = bars(rows.slice(0, FEW), best);
    if (rows.length <= FEW) return [label, list];
    const more = el("button", { class: "other", type: "button" }, `Show all ${rows.length}`);
    more.addEventListener("click", () => { list.replaceWith(bars(rows, best)); more.remove(); });
    return [label, list, el("div", { class: "actions" }, more)];
  }

  function bars(rows, best, colours) {
    return el("ul", { class: "bars" }, ...rows.map(([name, share]) => {
      const bar = el("i");
      bar.style.width = `${100 * (share || 0)}%`;
      const swatch = colours ? el("span", { class: "swatch" }) : null;
      if (swatch) swatch.style.background = colours[name];
      return el("li", { class: best.includes(name) ? "best" : "" }, el("span", { class: "of" }, swatch, name),
        el("span", { class: "track" }, bar), el("span", { class: "number" }, percent(share)));
    }));
  }

  function masks(values, picture) {
    const slices = Array.isArray(values.mask) ? values.mask : [values.mask];
    const tint = el("img", { class: picture ? "tint" : "", alt: "The mask" });
    const draw = (place) => { tint.src = `data:image/png;base64,${slices[place]}`; };
    draw(Math.floor(slices.length / 2));
    tint.style.opacity = picture ? 0.6 : 1;
    const frame = el("div", { class: "picture" }, ...(picture ? [...picture.childNodes] : []), tint);
    if (!picture) pixelated(tint);
    const sliders = [];
    if (slices.length > 1) sliders.push(slider("Slice", slices.length - 1, Math.floor(slices.length / 2), draw));
    if (picture) sliders.push(slider("Mask", 100, 60, (value) => { tint.style.opacity = value / 100; }));
    const colours = Object.fromEntries(about.classes.map((name, place) => [name, place ? about.colours[place] : "transparent"]));
    const shares = Object.entries(values.classes || {}).sort((a, b) => b[1] - a[1]);
    return [frame, ...sliders, bars(shares, [], colours)];
  }

  function slider(name, largest, value, change) {
    const input = el("input", { type: "range", min: 0, max: largest, value });
    input.addEventListener("input", () => change(Number(input.value)));
    return el("label", { class: "slider" }, name, input);
  }

  function written(values) {
    return el("p", { class: "written" }, el("span", { class: "prompt" }, values.prompt || ""), values.text);
  }

  function verdict(values, truth) {
    const line = el("p", { class: "truth" }, "Held-out sample; it is ", el("b", {}, truth));
    if (values.label != null) {
      const right = values.label === truth;
      line.append(": ", el("b", { class: right ? "right" : "wrong" }, right ? "right" : "wrong"));
    }
    return line;
  }

  // --- images

  function picture(source, name) {
    const frame = el("div", { class: "picture" });
    const image = el("img", { alt: name });
    image.addEventListener("error", () => frame.classList.contains("picture") && frame.replaceChildren());
    pixelated(image);
    image.src = source;
    frame.append(image);
    return frame;
  }

  function pixelated(image) {
    image.addEventListener("load", () => image.classList.toggle("small", image.naturalWidth < 160));
  }

  function sendFiles(files, truth) {
    if (!files.length) return;
    const form = new FormData();
    for (const file of files) form.append("files", file, file.name || "image.png");
    const pictured = about.input.way === "image";
    answer(form, "", (values, place) => {
      const file = files[place];
      const source = pictured ? URL.createObjectURL(file) : "";
      return card(values, truth == null ? file.name : "", pictured ? picture(source, file.name) : null, truth);
    });
  }

  function dropping(what) {
    const input = el("input", { type: "file", multiple: true, "aria-label": what });
    if (about.input.way === "image") input.accept = "image/*";
    input.addEventListener("change", () => { sendFiles([...input.files]); input.value = ""; });
    const icon = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    icon.setAttribute("viewBox", "0 0 24 24");
    icon.setAttribute("aria-hidden", "true");
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", "M12 16V5m0 0L7.5 9.5M12 5l4.5 4.5M4 15v3.5A1.5 1.5 0 0 0 5.5 20h13a1.5 1.5 0 0 0 1.5-1.5V15");
    for (const [key, value] of Object.entries({ fill: "none", stroke: "currentColor", "stroke-width": 1.7,
      "stroke-linecap": "round", "stroke-linejoin": "round" })) path.setAttribute(key, value);
    icon.append(path);
    const zone = el("div", { class: "drop" }, icon, el("p", {}, what), el("p", { class: "quiet" }, "or choose, or paste"), input);
    let depth = 0;
    addEventListener("dragenter", (event) => { event.preventDefault(); depth += 1; zone.classList.add("over"); });
    addEventListener("dragleave", () => { depth -= 1; if (depth <= 0) zone.classList.remove("over"); });
    addEventListener("dragover", (event) => event.preventDefault());
    addEventListener("drop", (event) => {
      event.preventDefault();
      depth = 0;
      zone.classList.remove("over");
      sendFiles([...event.dataTransfer.files]);
    });
    addEventListener("paste", (event) => {
      if (event.clipboardData.files.length) { event.preventDefault(); sendFiles([...event.clipboardData.files]); }
    });
    return zone;
  }

  function imageInput() {
    $("input").replaceChildren(dropping("Drop images here"), ...thumbnails());
  }

  function thumbnails() {
    if (!about.examples.length) return [];
    const list = about.examples.map((example, place) => {
      const image = el("img", { src: `examples/${place}`, alt: "", loading: "lazy" });
      pixelated(image);
      const said = `Held-out sample ${example.id}`;
      return el("button", { type: "button", title: said, "aria-label": said, onclick: () => sendExample(place) }, image);
    });
    return [el("h3", {}, "Or a held-out sample"), el("div", { class: "examples" }, ...list)];
  }

  async function sendExample(place) {
    const { id, target } = about.examples[place];
    try {
      const reply = await fetch(`examples/${place}`);
      const blob = await reply.blob();
      sendFiles([new File([blob], id, { type: blob.type })], target ?? undefined);
    } catch (error) {
      show(fault(error));
    }
  }

  // --- tables

  function tableInput() {
    const cells = about.input.columns.map(cell);
    let truth = about.examples.length ? about.examples[0].target : null;
    let asked = false;
    const send = () => {
      asked = true;
      const row = Object.fromEntries(cells.map((each) => [each.name, each.value()]));
      answer(JSON.stringify({ rows: [row] }), "application/json", (values) => card(values, "", null, truth));
    };
    const form = el("form", { class: "fields", novalidate: true }, ...cells.map((each) => each.label),
      el("div", { class: "actions" }, el("button", { class: "main" }, "Predict"), next((row, target) => {
        for (const each of cells) each.set(row[each.name]);
        truth = target;
        send();
      })));
    form.addEventListener("submit", (event) => { event.preventDefault(); send(); });
    form.addEventListener("input", () => { truth = null; });
    form.addEventListener("change", () => { if (asked) send(); });
    $("input").replaceChildren(form);
  }

  function cell(column) {
    const input = column.kind === "category"
      ? el("select", {}, el("option", { value: "" }, "missing"),
        ...column.categories.map((each) => el("option", { value: `=${each}` }, each)))
      : el("input", { inputmode: "decimal", autocomplete: "off", placeholder: "missing" });
    const category = column.kind === "category";
    const set = (value) => { input.value = value == null ? "" : category ? `=${value}` : String(value); };
    const value = () => {
      const text = input.value.trim();
      if (category) return text ? input.value.slice(1) : null;
      return text === "" ? null : Number.isNaN(Number(text)) ? text : Number(text);
    };
    set(column.initial);
    if (category && input.selectedIndex < 0) input.value = "";
    return { name: column.name, label: el("label", { class: "field" }, column.name, input), set, value };
  }

  function next(fill) {
    if (!about.examples.length) return null;
    let place = 0;
    const button = el("button", { class: "other", type: "button" }, "Next held-out sample");
    button.addEventListener("click", async () => {
      place = (place + 1) % about.examples.length;
      try {
        const told = await (await fetch(`examples/${place}`)).json();
        fill(Object.values(told)[0][0], about.examples[place].target);
      } catch (error) {
        show(fault(error));
      }
    });
    return button;
  }

  // --- texts and everything else

  function textInput() {
    const area = el("textarea", { "aria-label": "Prompt", placeholder: "A prompt …" });
    area.value = about.input.example.text || "";
    const send = () => answer(JSON.stringify({ text: area.value }), "application/json", (values) => card(values, ""));
    written_in(area, send, "Continue");
  }

  function rawInput() {
    const area = el("textarea", { class: "code", "aria-label": "JSON", spellcheck: "false" });
    area.value = JSON.stringify(about.input.example, null, 1);
    const send = () => answer(area.value, "application/json", (values, place, all) =>
      card(values, all.length > 1 ? `${place + 1}` : ""));
    const spelt = !area.value.includes('"b64"');
    const files = ["array", "file"].includes(about.input.way);
    if (spelt || !files) written_in(area, send, "Predict");
    else $("input").replaceChildren();
    if (!files) return;
    const list = about.examples.slice(0, 6).map((example, place) =>
      el("button", { class: "other", type: "button", onclick: () => sendArray(place) }, example.id));
    $("input").prepend(dropping(`Drop ${about.input.called} here`), spelt ? el("h3", {}, "Or numbers") : "");
    if (list.length) $("input").append(el("h3", {}, "Or a held-out sample"), el("div", { class: "actions" }, ...list));
  }

  async function sendArray(place) {
    const { id, target } = about.examples[place];
    try {
      const reply = await fetch(`examples/${place}`);
      const type = reply.headers.get("content-type");
      answer(await reply.blob(), type, (values) => card(values, id, null, target ?? undefined));
    } catch (error) {
      show(fault(error));
    }
  }

  function written_in(area, send, verb) {
    const form = el("form", {}, area, el("div", { class: "actions" }, el("button", { class: "main" }, verb),
      el("span", { class: "quiet" }, "Ctrl+Enter")));
    form.addEventListener("submit", (event) => { event.preventDefault(); send(); });
    area.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); send(); }
    });
    $("input").replaceChildren(form);
  }

  // --- the page around it

  function describe() {
    document.title = `${about.name} – Benchdog`;
    $("name").textContent = about.name;
    $("kicker").textContent = [about.task, about.model, about.exporter || null].filter(Boolean).join(" · ");
    measured("validation (used to choose the best epoch):", about.metrics);
    measured("test:", about.test);
    const facts = {
      "Answers with": about.classes.length ? `${about.target}: ${few(about.classes)}` : about.target,
      "Takes": about.spec.fields.map((f) => `${f.name}: ${f.kind}, ${f.dtype}, (${f.shape.map((n) => n ?? "any").join(", ")})`).join("; "),
      "Parameters": about.parameters ? about.parameters.toLocaleString("en") : null,
      "Made": about.created ? new Date(about.created).toLocaleString() : null,
      "Versions": Object.entries(about.versions).map((each) => each.join(" ")).join(", "),
    };
    for (const [name, value] of Object.entries(facts)) if (value) $("facts").append(el("dt", {}, name), el("dd", {}, value));
    const url = new URL("predict", location.href);
    const file = { image: "picture.png", file: `sample${about.input.suffix}` }[about.input.way];
    $("curl").textContent = file
      ? `curl -F files=@${file} ${url}`
      : `curl -H 'Content-Type: application/json' \\\n  -d '${JSON.stringify(about.input.example).replaceAll("'", "'\\''")}' \\\n  ${url}`;
  }

  function measured(where, all) {  // a line of its own for each split
    const metrics = Object.entries(all || {}).filter((each) => typeof each[1] === "number");
    if (!metrics.length) return;
    const values = metrics.map(([name, value]) => el("li", {}, `${word(name)} `, el("b", {}, number(value, 4))));
    $("metrics").append(el("ul", { class: "chips" }, el("li", {}, where), ...values));
  }

  const few = (names) => (names.length > 20 ? `${names.slice(0, 20).join(", ")} and ${names.length - 20} more` : names.join(", "));

  async function start() {
    try {
      const reply = await fetch("about");
      about = await reply.json();
      if (about.error) throw about.error;
    } catch (error) {
      $("input").replaceChildren(fault(error));
      return;
    }
    describe();
    ({ image: imageInput, row: tableInput, tokens: textInput, text: textInput }[about.input.way] || rawInput)();
  }

  start();
})();
