// What a person chooses: songs, and what is to be made of them. The choice is kept in this browser.

import { call } from "./api.js";
import { element } from "./dom.js";

const KEPT = "msas.options";
const at = (id) => document.getElementById(id);

export class Form {
  #models = [];

  /** `dropped` gets the files. */
  constructor(dropped) {
    const [drop, files] = [at("drop"), at("files")];
    at("separate").onsubmit = (event) => event.preventDefault();
    at("choose").onclick = () => files.click();
    files.onchange = () => {
      dropped([...files.files]);
      files.value = "";
    };
    // Anywhere on the page: who misses the zone would else leave the page for the song.
    document.ondragover = (event) => {
      event.preventDefault();
      drop.classList.add("over");
    };
    document.ondragleave = (event) => event.relatedTarget || drop.classList.remove("over");
    document.ondrop = (event) => {
      event.preventDefault();
      drop.classList.remove("over");
      if (event.dataTransfer.files.length) dropped([...event.dataTransfer.files]);
    };
    at("options").onchange = (event) => this.#chosen(event.target === at("model"));
  }

  /** Ask which models there are, and show them. Raises Problem, Away. */
  async load() {
    const { models, default: usual } = await (await call("/apiv1/models")).json();
    this.#models = models;
    const kept = JSON.parse(localStorage.getItem(KEPT) ?? "{}");
    at("model").replaceChildren(
      ...models.map(({ name }) => element("option", { value: name, selected: name === (kept.model ?? usual) }, name === usual ? `${name} (default)` : name)),
    );
    if (kept.format) at("format").value = kept.format;
    if (!at("format").value) at("format").selectedIndex = 0;
    this.#stems(kept.stems);
    this.#chosen(false);
  }

  /** The options as the API wants them in a query; empty before the models are known: then the service chooses. */
  get options() {
    const model = this.#model;
    if (!model) return {};
    const [format, depth] = at("format").value.split(" ");
    const stems = this.#checked;
    return {
      model: model.name,
      ...(stems.length && stems.length < model.stems.length ? { stems: stems.join(",") } : {}),
      ...(at("residual").checked ? { residual: "true" } : {}),
      format,
      [format === "mp3" ? "mp3_bitrate" : "bit_depth"]: depth,
    };
  }

  get #model() {
    return this.#models.find(({ name }) => name === at("model").value);
  }

  get #checked() {
    return [...at("stems").querySelectorAll("[name=stem]:checked")].map((box) => box.value);
  }

  #stems(chosen) {
    const box = (properties, text) => element("label", {}, element("input", { type: "checkbox", ...properties }), ` ${text}`);
    at("stems").replaceChildren(
      ...this.#model.stems.map((stem) => box({ name: "stem", value: stem, checked: !chosen || chosen.includes(stem) }, stem)),
      box({ id: "residual" }, "and what they leave of the song"),
    );
  }

  #chosen(modelChanged) {
    if (modelChanged) this.#stems();
    const model = this.#model;
    at("about").textContent = `${model.name}: ${model.about}`;
    if (!this.#checked.length) this.#stems();
    const stems = this.#checked;
    const which = stems.length === model.stems.length ? "all stems" : stems.join(", ");
    const rest = at("residual").checked ? " and the rest" : "";
    at("chosen").textContent = `${model.name}, ${which}${rest}, ${at("format").selectedOptions[0].text}`;
    localStorage.setItem(KEPT, JSON.stringify({ model: model.name, stems, format: at("format").value }));
  }
}
