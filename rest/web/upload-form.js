// What a person chooses: songs, and what is to be made of them. The choice is kept in this browser.

import { call, content } from "./api.js";
import { element } from "./dom.js";
import { read, write } from "./storage.js";

const KEPT = "msas.options";
const at = (id) => document.getElementById(id);

export class Form {
  #models = [];
  #usual = ""; // the default model's name
  #most = Infinity; // MB that a song may have

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
    at("options").onchange = ({ target }) => {
      if (target === at("model")) this.#stems();
      if (!this.#checked.length) target.checked = true; // one stem it must be
      this.#show();
      this.#keep();
    };
  }

  /** Ask which models there are, and show them. Raises Problem, Away. */
  async load() {
    const { models, default: usual, max_upload_mb: most } = await content(await call("/apiv1/models"), "json");
    [this.#models, this.#usual, this.#most] = [models, usual, most];
    const kept = read(KEPT, {});
    const wanted = models.some(({ name }) => name === kept.model) ? kept.model : usual;
    at("model").replaceChildren(
      ...models.map(({ name }) => element("option", { value: name, selected: name === wanted }, name === usual ? `${name} (default)` : name)),
    );
    if (kept.format) at("format").value = kept.format;
    if (!at("format").value) at("format").selectedIndex = 0;
    this.#stems(kept.stems, kept.residual);
    this.#show();
  }

  /** Why a file can't be sent at all; empty where it can. */
  refusal(file) {
    return file.size > this.#most * 1e6 ? `The song is larger than this service takes; send one of at most ${this.#most} MB.` : "";
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

  #stems(chosen, residual = false) {
    const box = (properties, text) => element("label", {}, element("input", { type: "checkbox", ...properties }), text);
    const { stems } = this.#model;
    const wanted = stems.filter((stem) => Array.isArray(chosen) && chosen.includes(stem));
    at("stems").replaceChildren(
      ...stems.map((stem) => box({ name: "stem", value: stem, checked: !wanted.length || wanted.includes(stem) }, stem)),
      box({ id: "residual", checked: residual === true }, "and what they leave of the song"),
    );
  }

  /** Keep what was chosen: where that is the service's own choice, it may change with the service. */
  #keep() {
    const model = this.#model;
    const stems = this.#checked;
    write(KEPT, {
      model: model.name === this.#usual ? null : model.name,
      stems: stems.length === model.stems.length ? null : stems,
      residual: at("residual").checked,
      format: at("format").value,
    });
  }

  #show() {
    const model = this.#model;
    at("about").textContent = `${model.name}: ${model.about}`;
    const stems = this.#checked;
    const which = stems.length === model.stems.length ? "all stems" : stems.join(", ");
    const rest = at("residual").checked ? " and the rest" : "";
    at("chosen").textContent = `${model.name}, ${which}${rest}, ${at("format").selectedOptions[0].text}`;
  }
}
