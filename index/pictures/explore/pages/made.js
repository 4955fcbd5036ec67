// Elements, made in a line each. Texts become text nodes, never markup.

const SVG = "http://www.w3.org/2000/svg";

export function made(name, properties = {}, ...inside) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...inside);
  return element;
}

export function shape(name, attributes = {}, ...inside) {
  const element = document.createElementNS(SVG, name);
  Object.entries(attributes).forEach(([key, each]) => element.setAttribute(key, each));
  element.append(...inside);
  return element;
}

// A token as it stands in texts: on its own for bidirectional writing, and not to be translated.
export const token = (text) => made("bdi", { className: "token", translate: false, textContent: text });
