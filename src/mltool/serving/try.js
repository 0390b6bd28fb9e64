"use strict";
const model = JSON.parse(document.getElementById("model").textContent);
const form = document.getElementById("try");
const answer = document.getElementById("answer");
const pictures = {};

// Not `form.elements[name]`: a field may be called `length`.
function control(name) {
  return form.elements.namedItem(name);
}

function show(...nodes) {
  answer.replaceChildren(...nodes);
}

function element(name, css, text) {
  const made = document.createElement(name);
  if (css) made.className = css;
  if (text !== undefined) made.textContent = text;
  return made;
}

function setPicture(name, url) {
  pictures[name] = url;
  const preview = document.getElementById(`preview-${name}`);
  preview.src = url || "";
  preview.hidden = !url;
}

function fill(record) {
  for (const field of model.fields) {
    const value = record[field.name];
    if (field.kind === "image") {
      setPicture(field.name, value);
      control(field.name).value = "";
    } else if (field.kind === "tensor") {
      control(field.name).value = value === undefined ? "" : JSON.stringify(value);
    } else {
      control(field.name).value = value === null || value === undefined ? "" : value;
    }
  }
}

function record() {
  const values = {};
  for (const field of model.fields) {
    if (field.kind === "image") {
      values[field.name] = pictures[field.name] || null;
      continue;
    }
    const text = control(field.name).value.trim();
    if (field.kind === "tensor") {
      try {
        values[field.name] = JSON.parse(text);
      } catch {
        throw new Error(`${field.name} is not a list of numbers`);
      }
    } else {
      values[field.name] = text === "" ? null : text;
    }
  }
  return values;
}

function read(name, file) {
  if (!file) return;
  const reader = new FileReader();
  reader.onload = () => {
    setPicture(name, reader.result);
    ask();
  };
  reader.readAsDataURL(file);
}

function bars(probabilities) {
  const table = element("table");
  const rows = Object.entries(probabilities).sort((a, b) => b[1] - a[1]).slice(0, 12);
  for (const [label, share] of rows) {
    const row = table.insertRow();
    row.append(element("th", "", label));
    const cell = row.insertCell();
    const bar = element("progress");
    bar.max = 1;
    bar.value = share;
    cell.append(bar);
    row.insertCell().textContent = `${(100 * share).toFixed(1)} %`;
  }
  return table;
}

function draw(body, milliseconds) {
  const [one] = body.predictions;
  const nodes = [];
  if ("label" in one) {
    nodes.push(element("p", "label", one.label), bars(one.probabilities));
  } else if ("prediction" in one) {
    nodes.push(element("p", "label", Number(one.prediction).toPrecision(6)));
  } else {
    nodes.push(element("pre", "command", JSON.stringify(one, null, 1)));
  }
  for (const warning of body.warnings || []) nodes.push(element("p", "note", warning));
  nodes.push(element("p", "note", `${body.model}, ${milliseconds.toFixed(1)} ms with the way there and back`));
  show(...nodes);
}

async function ask() {
  let response, body;
  const started = performance.now();
  try {
    const request = JSON.stringify({ records: [record()] });
    response = await fetch("predict", {
      method: "POST", headers: { "content-type": "application/json" }, body: request,
    });
    body = await response.json();
  } catch (error) {
    show(element("p", "failed", error.message));
    return;
  }
  if (response.ok) draw(body, performance.now() - started);
  else show(element("p", "failed", body.hint ? `${body.error}; ${body.hint}` : body.error));
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
for (const field of model.fields.filter((one) => one.kind === "image")) {
  const input = control(field.name);
  input.addEventListener("change", () => read(field.name, input.files[0]));
  const zone = input.closest(".drop");
  zone.addEventListener("dragover", (event) => event.preventDefault());
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    read(field.name, event.dataTransfer.files[0]);
  });
}
document.querySelectorAll("[data-sample]").forEach((button) => {
  button.addEventListener("click", () => {
    fill(model.samples[Number(button.dataset.sample)]);
    ask();
  });
});
if (model.samples.length) {
  fill(model.samples[0]);
  ask();
}
