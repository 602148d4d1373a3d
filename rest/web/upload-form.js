// The form: choosing or dropping songs, and the options of their separation, which this browser stores.

import { call, readBody } from "./service/api.js";
import { element } from "./dom.js";
import { read, write } from "./storage.js";

const STORED_NAME = "msas.options";
const at = (id) => document.getElementById(id);

export class UploadForm {
  #models = [];
  #defaultModel = "";
  #maxUploadMb = Infinity;

  /** `onFiles` gets the chosen or dropped files. */
  constructor(onFiles) {
    const [drop, files] = [at("drop"), at("files")];
    at("separate").onsubmit = (event) => event.preventDefault();
    at("choose").onclick = () => files.click();
    files.onchange = () => {
      onFiles([...files.files]);
      files.value = "";
    };
    // On the whole document: a browser opens a file that is dropped beside the zone, and leaves the page.
    document.ondragover = (event) => {
      event.preventDefault();
      drop.classList.add("over");
    };
    document.ondragleave = (event) => event.relatedTarget || drop.classList.remove("over");
    document.ondrop = (event) => {
      event.preventDefault();
      drop.classList.remove("over");
      if (event.dataTransfer.files.length) onFiles([...event.dataTransfer.files]);
    };
    at("options").onchange = ({ target }) => {
      if (target === at("model")) this.#showStems();
      if (!this.#checked.length) target.checked = true; // at least one stem
      this.#showSummary();
      this.#store();
    };
  }

  /** Request the models, and show them. Throws Problem, Unreachable. */
  async load() {
    const { models, default: defaultModel, max_upload_mb: maxUploadMb } = await readBody(await call("/apiv1/models"), "json");
    [this.#models, this.#defaultModel, this.#maxUploadMb] = [models, defaultModel, maxUploadMb];
    const stored = read(STORED_NAME, {});
    const wanted = models.some(({ name }) => name === stored.model) ? stored.model : defaultModel;
    at("model").replaceChildren(
      ...models.map(({ name }) => element("option", { value: name, selected: name === wanted }, name === defaultModel ? `${name} (default)` : name)),
    );
    if (stored.format) at("format").value = stored.format;
    if (!at("format").value) at("format").selectedIndex = 0;
    this.#showStems(stored.stems, stored.residual);
    this.#showSummary();
  }

  /** Return the reason why a file can't be sent; empty if it can. */
  refusal(file) {
    const maxMb = this.#maxUploadMb;
    return file.size > maxMb * 1e6 ? `The song is larger than this service takes; send one of at most ${maxMb} MB.` : "";
  }

  /** The options as parameters of the API's query; empty before the models are known, for the service's defaults. */
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

  #showStems(chosen, residual = false) {
    const checkbox = (properties, text) => element("label", {}, element("input", { type: "checkbox", ...properties }), text);
    const { stems } = this.#model;
    const wanted = stems.filter((stem) => Array.isArray(chosen) && chosen.includes(stem));
    at("stems").replaceChildren(
      ...stems.map((stem) => checkbox({ name: "stem", value: stem, checked: !wanted.length || wanted.includes(stem) }, stem)),
      checkbox({ id: "residual", checked: residual === true }, "and what they leave of the song"),
    );
  }

  /** Store the options; null for the service's defaults, which may change. */
  #store() {
    const model = this.#model;
    const stems = this.#checked;
    write(STORED_NAME, {
      model: model.name === this.#defaultModel ? null : model.name,
      stems: stems.length === model.stems.length ? null : stems,
      residual: at("residual").checked,
      format: at("format").value,
    });
  }

  #showSummary() {
    const model = this.#model;
    at("model-about").textContent = [`${model.name}: ${model.about}`, ...weightFacts(model)].join(" ");
    const stems = this.#checked;
    const stemNames = stems.length === model.stems.length ? "all stems" : stems.join(", ");
    const rest = at("residual").checked ? " and the rest" : "";
    at("options-summary").textContent = `${model.name}, ${stemNames}${rest}, ${at("format").selectedOptions[0].text}`;
  }
}

/** Return sentences about the model's weights: their licence, their download, and how fast it is here. */
function weightFacts({ licence, cached, size_mb: megabytes, seconds_per_minute: seconds }) {
  return [
    licence && `Licence of its weights: ${licence}.`,
    !cached && `Its first song waits for a download${megabytes ? ` of ${Math.round(megabytes)} MB` : ""}.`,
    seconds && `A minute of song takes about ${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s.`,
  ].filter(Boolean);
}
