"use strict";
// Lists what openapi.json describes and lets a person try it. Nothing is loaded from elsewhere.
(() => {
  const $ = (id) => document.getElementById(id);

  function el(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) {
      if (value === true) made.setAttribute(key, "");
      else if (value !== false && value != null) made.setAttribute(key, value);
    }
    made.append(...children.filter((child) => child != null));
    return made;
  }

  const isText = (type) => type === "application/json" || type === "text/plain";
  const written = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 1));

  /** Give a body's editor: what is shown for a content type, and what is sent. */
  function bodyEditor(type, content) {
    if (isText(type)) {
      const area = el("textarea", { class: "code", "aria-label": "Body", spellcheck: "false" });
      area.value = content.example === undefined ? "" : written(content.example);
      return { shown: area, body: () => area.value, type };
    }
    if (type !== "multipart/form-data") {
      const input = el("input", { type: "file", "aria-label": "The file" });
      const sent = () => input.files[0];
      return { shown: el("p", { class: "file" }, input), body: sent, type: (file) => (file && file.type) || "application/octet-stream" };
    }
    const inputs = Object.entries(content.schema.properties).map(([name, schema]) =>
      [name, el("input", { type: "file", multiple: schema.type === "array", "aria-label": name })]);
    const form = () => {
      const data = new FormData();
      for (const [name, input] of inputs) for (const file of input.files) data.append(name, file, file.name);
      return data;
    };
    return { shown: el("div", { class: "file" }, ...inputs.map(([name, input]) => el("p", {}, `${name} `, input))), body: form, type: "" };
  }

  function operation(path, method, told) {
    const inside = el("div", { class: "inside" });
    const values = (told.parameters || []).map((each) => {
      const input = el("input", { value: each.schema.default ?? 0 });
      inside.append(el("label", { class: "field" }, each.name, input));
      return [each.name, input];
    });
    let editor = null;
    if (told.requestBody) {
      const types = Object.keys(told.requestBody.content);
      const choice = el("select", { "aria-label": "Content type" }, ...types.map((type) => el("option", {}, type)));
      const place = el("div");
      const choose = () => {
        editor = bodyEditor(choice.value, told.requestBody.content[choice.value]);
        place.replaceChildren(editor.shown);
      };
      choice.addEventListener("change", choose);
      inside.append(choice, place);
      choose();
    }
    const out = el("pre", { tabindex: "0", hidden: true, "aria-live": "polite" });
    const button = el("button", { class: "main", type: "button" }, "Send");
    button.addEventListener("click", async () => {
      button.disabled = true;
      out.hidden = false;
      out.textContent = await send(path, method, values, editor);
      button.disabled = false;
    });
    const rows = Object.entries(told.responses).map(([status, each]) =>
      el("tr", {}, el("td", {}, el("code", {}, status)), el("td", {}, each.description)));
    inside.append(el("div", { class: "actions" }, button), out, el("table", {}, el("tbody", {}, ...rows)));
    return el("details", { class: "card operation", open: method === "post" },
      el("summary", {}, el("span", { class: "method" }, method.toUpperCase()), el("span", { class: "path" }, path),
        el("span", { class: "quiet" }, told.summary || "")), inside);
  }

  async function send(path, method, values, editor) {
    const relative = path.slice(1);  // a proxy may put a path before it
    const url = values.reduce((text, [name, input]) => text.replace(`{${name}}`, encodeURIComponent(input.value)), relative);
    const options = { method: method.toUpperCase(), headers: {} };
    if (editor) {
      options.body = editor.body();
      const type = typeof editor.type === "function" ? editor.type(options.body) : editor.type;
      if (type) options.headers["Content-Type"] = type;
    }
    const start = performance.now();
    try {
      const reply = await fetch(url, options);
      const type = reply.headers.get("content-type") || "";
      const head = `${reply.status} in ${Math.round(performance.now() - start)} ms\n\n`;
      if (type.startsWith("application/json")) return head + JSON.stringify(await reply.json(), null, 1);
      return `${head}${(await reply.blob()).size} bytes of ${type}`;
    } catch {
      return "The server doesn't answer. Is it still running?";
    }
  }

  async function start() {
    try {
      const told = await (await fetch("openapi.json")).json();
      $("title").textContent = told.info.title;
      $("description").textContent = told.info.description;
      $("operations").replaceChildren(...Object.entries(told.paths).flatMap(([path, methods]) =>
        Object.entries(methods).map(([method, each]) => operation(path, method, each))));
    } catch {
      $("operations").replaceChildren(el("p", { class: "card error" }, "The server doesn't answer. Is it still running?"));
    }
  }

  start();
})();
