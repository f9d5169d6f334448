"use strict";

// The board is what the server says. Nothing is changed here before it has said so.

const byId = (id) => document.getElementById(id);
const STATES = {
  dialling: "Dialling", ringing: "Ringing", incoming: "Calling in", answered: "Answered",
  bridged: "In channel", unbridged: "No channel", hangup: "Ended", failed: "Failed",
  missed: "Missed", rejected: "Rejected",
};
// How calls end, in words; the Call Manager's own word stands beside them.
const CAUSES = new Map(Object.entries({
  NORMAL_CLEARING: "Hung up", USER_BUSY: "The line was busy", NO_ANSWER: "Nobody answered",
  NO_USER_RESPONSE: "Nothing answered", CALL_REJECTED: "It was declined",
  ORIGINATOR_CANCEL: "Cancelled before it was answered", BLIND_TRANSFER: "Transferred",
  UNALLOCATED_NUMBER: "There is no such number",
}));
// What is said of whoever was called, instead of "Ended".
const CALLEE = new Map(Object.entries({
  USER_BUSY: ["busy", "Busy"], NO_ANSWER: ["no-answer", "No answer"],
  NO_USER_RESPONSE: ["no-answer", "No answer"],
}));
const UP = ["answered", "bridged", "unbridged"];
const ENDED_SHOWN = 20;
// A second press within so many milliseconds is a double click.
const PAUSE = 1000;

const board = { run: "", behind: 0, calls: new Map() };

// --- what the server says -------------------------------------------------------------------

function listen() {
  const stream = new EventSource("/events");
  stream.addEventListener("board", (event) => showAll(JSON.parse(event.data)));
  stream.addEventListener("call", (event) => show(JSON.parse(event.data), true));
  stream.addEventListener("connection", (event) => showConnection(JSON.parse(event.data)));
  stream.addEventListener("error", () => {
    showConnection("lost");
    if (stream.readyState === EventSource.CLOSED) setTimeout(listen, 2000); // else it tries by itself
  });
}

function showConnection(state) {
  const words = {
    connected: "Connected", connecting: "Connecting …",
    reconnecting: "Call Manager lost, reconnecting …", lost: "Board lost, reconnecting …",
  };
  const pill = byId("connection");
  pill.dataset.state = state === "lost" ? "reconnecting" : state;
  if (pill.textContent !== words[state]) pill.textContent = words[state];
  document.querySelector("main").classList.toggle("old", state === "lost");
}

function showAll(all) {
  board.run = all.run;
  board.behind = all.now - Date.now() / 1000;
  showConnection(all.connection);
  const there = new Set(all.calls.map((call) => call.id));
  for (const [id, call] of board.calls) if (!there.has(id)) remove(call);
  const moment = (call) => call.ended || call.began;
  for (const call of all.calls.sort((a, b) => moment(a) - moment(b))) show(call, false);
}

function remove(call) {
  call.element.remove();
  board.calls.delete(call.id);
  count();
}

function show(call, aloud) {
  const old = board.calls.get(call.id);
  const had = old && old.element.contains(document.activeElement);
  call.element = old && old.over === call.over ? old.element : make(call);
  if (old && old.element !== call.element) old.element.remove();
  board.calls.set(call.id, call);
  fill(call);
  count();
  if (had) keepFocus(call.element);
  // Who calls in waits for some seconds only: to be seen, unless somebody types elsewhere.
  if (aloud && !old && call.state === "incoming" && !document.activeElement.matches("input")) {
    call.element.scrollIntoView({ block: "nearest" });
  }
  if (aloud && (!old || old.state !== call.state)) say(call);
}

function make(call) {
  const element = byId(call.over ? "over" : "call").content.firstElementChild.cloneNode(true);
  element.dataset.id = call.id;
  if (call.over) {
    byId("ended").prepend(element);
    const ended = [...board.calls.values()].filter((each) => each.over && each.id !== call.id);
    ended.slice(0, Math.max(0, ended.length + 1 - ENDED_SHOWN)).forEach(remove);
  } else {
    byId("calls").prepend(element);
    for (const button of element.querySelectorAll("button")) {
      button.setAttribute("aria-label", `${button.textContent}, ${spaced(call.number)}`);
    }
    for (const input of element.querySelectorAll("input")) {
      input.setAttribute("aria-label", `${input.getAttribute("aria-label")}, ${spaced(call.number)}`);
    }
  }
  return element;
}

// All text from calls goes in as text, never as HTML: a caller can send anything.
function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
  element.hidden = text === "";
}

// Of a number, and of those in a sentence.
function spaced(text) {
  return text.replace(/\+1(\d{3})(\d{3})(\d{4})(?!\d)/g, "+1 $1 $2 $3");
}

// What the badge says: its colour's name, and the words.
function badge(call) {
  if (call.stale) return [call.state, "Perhaps ended"];
  const callee = call.state === "hangup" && call.direction !== "inbound" && CALLEE.get(call.cause);
  return callee || [call.state, STATES[call.state] || call.state];
}

// Why it ended, in words: "" where there are none.
function why(call) {
  const note = spaced(call.note).replace(/\.$/, "");
  const words = CAUSES.get(call.cause) || "";
  return [note.startsWith(words) ? "" : words, note].filter(Boolean).join(" · ");
}

function fill(call) {
  const part = (name) => call.element.querySelector(`.${name}`);
  const inbound = call.direction === "inbound";
  put(part("arrow"), inbound ? "↙" : "↗");
  put(part("number"), spaced(call.number) || "Unknown");
  const [colour, words] = badge(call);
  put(part("badge"), words);
  part("badge").dataset.state = colour;
  if (call.over) {
    put(part("words"), [why(call), call.heard && `heard ${call.heard}`].filter(Boolean).join(" · "));
    put(part("cause"), call.cause);
    put(part("billed"), call.billsec === null ? "" : `${call.billsec} s billed`);
    return;
  }
  call.element.dataset.state = call.state;
  call.element.toggleAttribute("data-up", UP.includes(call.state));
  const detail = `${inbound ? "to" : "from"} ${spaced(call.ours)}`;
  put(part("detail"), call.channel ? `${detail} · in ${call.channel}` : detail);
  for (const name of ["heard", "sent"]) {
    put(part(name).querySelector("dd"), call[name]);
    part(name).hidden = call[name] === "";
  }
  put(part("note"), spaced(call.note));
  for (const control of call.element.querySelectorAll("[data-action]")) {
    control.hidden = ![...call.actions, ...call.far].includes(control.dataset.action);
  }
  call.element.querySelector(".actions.far").hidden = !document.getElementById("ring") || !call.far.length;
  tick(call);
}

function count() {
  const active = [...board.calls.values()].filter((call) => !call.over).length;
  byId("count").textContent = active;
  byId("none").hidden = active > 0;
  byId("ended-section").hidden = active === board.calls.size;
}

// What had the focus may be gone with its call's state: stay at the call.
function keepFocus(element) {
  if (element.contains(document.activeElement) && document.activeElement.checkVisibility()) return;
  const buttons = [...element.querySelectorAll("button, input")].filter((each) => each.checkVisibility());
  (buttons[0] || element).focus();
}

function say(call) {
  const reason = call.over && (why(call) || call.cause);
  byId("said").textContent = `${spaced(call.number)}: ${badge(call)[1]}${reason ? `, ${reason}` : ""}`;
}

function tick(call) {
  const seconds = Math.max(0, Math.floor(Date.now() / 1000 + board.behind - (call.answered || call.began)));
  const minutes = Math.floor(seconds / 60);
  call.element.querySelector(".time").textContent = `${minutes}:${String(seconds % 60).padStart(2, "0")}`;
}

setInterval(() => {
  for (const call of board.calls.values()) if (!call.over) tick(call);
}, 1000);

// --- what somebody presses ------------------------------------------------------------------

async function post(path, fields) {
  let response;
  try {
    response = await fetch(path, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(fields),
    });
  } catch {
    throw new TypeError("The board does not answer. When it is back, see what became of this.");
  }
  const said = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(said.error || `The board said ${response.status}.`);
  return said;
}

// Each form and each button does one thing at a time; what goes wrong is said in words beside it.
async function once(control, pause, work) {
  if (control.dataset.busy) return;
  control.dataset.busy = "yes";
  const error = (control.closest(".card") || control).querySelector(".error");
  const button = control.querySelector("button") || control;
  button.setAttribute("aria-disabled", "true");
  put(error, "");
  const rest = new Promise((done) => setTimeout(done, pause));
  try {
    await work();
  } catch (problem) {
    put(error, problem.message);
  }
  await rest;
  button.removeAttribute("aria-disabled");
  delete control.dataset.busy;
}

// However often one wish is sent, it is one call: the server knows it by its key. A wish that got
// no answer keeps its key, until there is one.
let wish = null;

byId("place").addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.currentTarget;
  once(form, PAUSE, async () => {
    const asked = Object.fromEntries(new FormData(form));
    if (!wish || wish.to !== asked.to || !wish.key.startsWith(board.run)) {
      const random = crypto.getRandomValues(new Uint32Array(4)).join("-");
      wish = { to: asked.to, key: `${board.run}-${random}` };
    }
    try {
      await post("/calls", { ...asked, key: wish.key });
      wish = null;
    } catch (problem) {
      if (!(problem instanceof TypeError)) wish = null; // it was answered: no
      throw problem;
    }
  });
});

byId("ring")?.addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.currentTarget;
  once(form, PAUSE, () => post("/ring", Object.fromEntries(new FormData(form))));
});

function act(control) {
  const { id } = control.closest(".card").dataset;
  const input = control.querySelector("input");
  if (input && !input.value.trim()) return input.focus();
  return once(control, 0, async () => {
    await post(`/calls/${id}/${control.dataset.action}`, { value: input ? input.value : "" });
    if (input) input.value = "";
  });
}

byId("calls").addEventListener("click", (event) => {
  const button = event.target.closest("button[data-action]");
  if (button) act(button);
});

byId("calls").addEventListener("submit", (event) => {
  event.preventDefault();
  act(event.target);
});

// A key that is held down presses once.
document.addEventListener("keydown", (event) => {
  if (event.repeat && ["Enter", " "].includes(event.key) && event.target.matches("button, input:not([type])")) {
    event.preventDefault();
  }
});

listen();
