// Suggests tokens while one is typed: ARIA comboboxes with a list each. Without this script the forms still work. In the
// search box a suggestion is a page to go to, or on the map a token to pick; in the form of a question it is filled in.
// Loads what draws charts and maps last: the tables do not wait for it.

import { tools } from "./tables.js";

const WAIT_MS = 80;

const status = document.getElementById("suggested");

// Of the sum that is being typed its last term, behind its sign: what suggestions are for, and what one replaces.
const LAST_TERM = /(?:^|[+-])\s*('[^']*|"[^"]*|[^'"+\s-][^+\s-]*)$/;

function lastTerm(text) {
  return LAST_TERM.exec(text)?.[1] ?? "";
}

// Token texts become text nodes, never markup.
function option(suggestion, id) {
  const item = document.createElement("li");
  item.id = id;
  item.setAttribute("role", "option");
  item.setAttribute("aria-selected", "false");
  item.dataset.id = suggestion.id;
  item.dataset.address = suggestion.address;
  item.dataset.named = suggestion.number || suggestion.text;
  item.dataset.term = suggestion.term;
  const text = document.createElement("bdi");
  text.className = "token";
  text.translate = false;
  text.textContent = suggestion.text;
  const about = document.createElement("small");
  about.textContent = suggestion.number;
  item.append(text, " ", about);
  return item;
}

function combobox(input) {
  const list = document.getElementById(input.getAttribute("aria-controls"));
  const searches = input.form.getAttribute("role") === "search";
  let timer = 0;
  let asked = 0;
  let chosen = -1;

  function close() {
    clearTimeout(timer);
    asked += 1; // an answer on its way is out of date
    choose(-1);
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
  }

  function choose(place) {
    list.children[chosen]?.setAttribute("aria-selected", "false");
    chosen = place;
    const option = list.children[chosen];
    option?.setAttribute("aria-selected", "true");
    option?.scrollIntoView({ block: "nearest" });
    if (option) {
      input.setAttribute("aria-activedescendant", option.id);
    } else {
      input.removeAttribute("aria-activedescendant");
    }
  }

  function take(item) {
    if (searches) {
      const picked = new CustomEvent("token", { detail: Number(item.dataset.id), cancelable: true });
      if (document.dispatchEvent(picked)) {
        location.assign(item.dataset.address);
      } else {
        close(); // a map has picked it
      }
    } else if ("terms" in input.dataset) {
      input.value = input.value.slice(0, input.value.length - lastTerm(input.value).length) + item.dataset.term;
      close();
    } else {
      input.value = item.dataset.named;
      close();
    }
  }

  // What suggestions are asked for: a quoted term without its quotation mark.
  function wanted() {
    return "terms" in input.dataset ? lastTerm(input.value).replace(/^['"]/, "") : input.value;
  }

  // Returns what is suggested; null where something else has been typed meanwhile.
  async function suggest() {
    const number = (asked += 1);
    const query = new URLSearchParams(searches ? new FormData(input.form) : { q: wanted() });
    const answer = await fetch(`/suggest?${query}`);
    const suggestions = answer.ok ? await answer.json() : [];
    if (number !== asked) {
      return null;
    }
    choose(-1);
    list.replaceChildren(...suggestions.map((each, place) => option(each, `${list.id}-${place}`)));
    list.hidden = suggestions.length === 0;
    input.setAttribute("aria-expanded", String(!list.hidden));
    status.textContent = `${suggestions.length} suggestions`;
    return suggestions;
  }

  // On the map, the one token that is typed is picked as it is suggested; of several the first is offered, for another
  // Enter; and where nothing is like it, the page of the search says so.
  async function search(event) {
    event.preventDefault();
    clearTimeout(timer);
    const suggestions = (await suggest()) ?? [];
    const only = suggestions.findIndex((each) => each.only);
    if (only >= 0) {
      take(list.children[only]);
    } else if (suggestions.length) {
      choose(0);
    } else {
      input.form.submit();
    }
  }

  input.addEventListener("input", () => {
    clearTimeout(timer);
    if (wanted()) {
      timer = setTimeout(suggest, WAIT_MS);
    } else {
      close();
    }
  });

  input.addEventListener("keydown", (event) => {
    const count = list.hidden ? 0 : list.children.length;
    if (event.key === "ArrowDown" && count) {
      choose((chosen + 1) % count);
    } else if (event.key === "ArrowUp" && count) {
      choose((chosen <= 0 ? count : chosen) - 1);
    } else if (event.key === "Enter" && chosen >= 0) {
      take(list.children[chosen]);
    } else if (event.key === "Escape" && count) {
      close();
    } else {
      return;
    }
    event.preventDefault();
  });

  list.addEventListener("mousedown", (event) => event.preventDefault()); // else the input loses the focus, the list closes
  list.addEventListener("click", (event) => {
    const item = event.target.closest("[role=option]");
    if (item) {
      take(item);
    }
  });

  input.addEventListener("blur", close);
  if (searches && document.querySelector(".planes") !== null) {
    input.form.addEventListener("submit", search);
  }
}

document.querySelectorAll("[role=combobox]").forEach(combobox);

// Findings are counted when the page is there, which takes a second or two: it does not wait for them.
async function showFindings(section) {
  const status = section.querySelector("[role=status]");
  status.textContent = "Counting …";
  const answer = await fetch(section.dataset.findings).catch(() => null);
  if (!answer?.ok) {
    status.textContent = "They cannot be shown: the program does not answer.";
    return;
  }
  section.querySelector("ul").replaceChildren(
    ...(await answer.json()).map(({ said, misleads, question, address }) => {
      const item = document.createElement("li");
      item.title = misleads;
      const link = document.createElement("a");
      link.href = address;
      link.textContent = question;
      item.append(`${said} `, link);
      return item;
    }),
  );
  status.textContent = "";
}

document.querySelectorAll("[data-findings]").forEach(showFindings);

document.querySelectorAll(".scroll table").forEach(tools);

// Whoever chooses the geometry that the other field has means to swap them.
document.querySelectorAll(".choice").forEach((form) => {
  const pair = ["first", "second"].map((name) => form.elements[name]).filter(Boolean);
  let before = pair.map((field) => field.value);
  form.addEventListener("change", () => {
    const changed = pair.findIndex((field, place) => field.value !== before[place]);
    if (changed >= 0 && pair[0].value === pair[1].value) {
      pair[1 - changed].value = before[changed];
    }
    before = pair.map((field) => field.value);
  });
});

// Charts and maps come when all else is there, and not when they are first seen: a page may be printed before.
const draw = () => document.querySelectorAll(".drawn").forEach((part) => import(part.dataset.script));
if (document.readyState === "complete") {
  draw();
} else {
  addEventListener("load", draw);
}
