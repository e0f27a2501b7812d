// Shows /openapi.json. Text goes in as text nodes only; nothing is fetched from anywhere else.

const METHODS = ["get", "post", "put", "patch", "delete"];

/** An element with text or children. */
function make(name, content = [], attributes = {}) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  for (const part of Array.isArray(content) ? content : [content]) element.append(part);
  return element;
}

/** What a JSON pointer like "#/components/schemas/Check" names. */
function resolve(spec, value) {
  const path = value && value.$ref;
  if (!path) return value;
  return path.slice(2).split("/").reduce((at, step) => at[step], spec);
}

function json(value) {
  return make("pre", make("code", JSON.stringify(value, null, 2)));
}

function table(head, rows) {
  const titles = make("tr", head.map((text) => make("th", text, { scope: "col" })));
  const body = rows.map((row) => make("tr", row.map((cell) => make("td", cell))));
  return make("table", [make("thead", titles), make("tbody", body)]);
}

function typeOf(spec, schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.oneOf) return schema.oneOf.map((each) => typeOf(spec, each)).join(" or ");
  if (schema.type === "array") return `array of ${typeOf(spec, schema.items)}`;
  const type = Array.isArray(schema.type) ? schema.type.join(" or ") : schema.type || "";
  return schema.enum ? `${type}: ${schema.enum.join(", ")}` : type;
}

function properties(spec, schema) {
  const found = resolve(spec, schema);
  if (!found || !found.properties) return [];
  const required = new Set(found.required || []);
  const rows = Object.entries(found.properties).map(([name, each]) => [
    make("code", name),
    typeOf(spec, each),
    required.has(name) ? "required" : "",
    (resolve(spec, each) || {}).description || each.description || "",
  ]);
  return [table(["Field", "Type", "", "Meaning"], rows)];
}

function content(spec, media) {
  const parts = [];
  for (const [type, each] of Object.entries(media || {})) {
    parts.push(make("p", [make("code", type), " ", typeOf(spec, each.schema)]));
    parts.push(...properties(spec, each.schema));
    if (each.example !== undefined) parts.push(json(each.example));
  }
  return parts;
}

function operation(spec, path, method, each) {
  const inside = make("div");
  if (each.description) inside.append(make("p", each.description));
  const parameters = (each.parameters || []).map((one) => resolve(spec, one));
  if (parameters.length) {
    inside.append(make("h4", "Parameters"));
    inside.append(table(["Name", "In", "Type", "Meaning"], parameters.map((one) => [
      make("code", one.name), one.in, typeOf(spec, one.schema),
      (one.required ? "Required. " : "") + (one.description || ""),
    ])));
  }
  const body = resolve(spec, each.requestBody);
  if (body) inside.append(make("h4", "Body"), ...content(spec, body.content));
  inside.append(make("h4", "Answers"));
  for (const [status, one] of Object.entries(each.responses)) {
    const found = resolve(spec, one);
    inside.append(make("p", [make("strong", status), ` ${found.description}`]));
    inside.append(...content(spec, found.content));
  }
  const summary = make("summary", [
    make("span", method.toUpperCase(), { class: "method" }),
    make("code", path), " ", make("span", each.summary || "", { class: "summary" }),
  ]);
  return make("details", [summary, inside], { "data-text": `${method} ${path} ${each.summary}`.toLowerCase() });
}

function show(spec) {
  document.getElementById("title").textContent = `${spec.info.title} ${spec.info.version}`;
  document.getElementById("description").textContent = spec.info.description || "";
  const groups = new Map();
  for (const [path, item] of Object.entries(spec.paths)) {
    for (const method of METHODS) {
      if (!item[method]) continue;
      const tag = (item[method].tags || ["Other"])[0];
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(operation(spec, path, method, item[method]));
    }
  }
  const main = document.getElementById("operations");
  main.replaceChildren(...[...groups].map(([tag, found]) => make("section", [make("h2", tag), ...found])));
  document.getElementById("filter").addEventListener("input", (event) => {
    const wanted = event.target.value.toLowerCase();
    for (const each of main.querySelectorAll("details")) each.hidden = !each.dataset.text.includes(wanted);
  });
}

fetch("/openapi.json", { credentials: "same-origin" })
  .then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error(`status ${answer.status}`))))
  .then(show)
  .catch((error) => {
    document.getElementById("operations").textContent = `The document could not be read: ${error.message}`;
  });
