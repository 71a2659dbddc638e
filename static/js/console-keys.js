/** Keys for noVNC: combinations, and text typed key by key. */
import KeyTable from "../novnc/core/input/keysym.js";
import keysyms from "../novnc/core/input/keysymdef.js";

/** What on a US keyboard needs Shift. A VNC server expects to be told of it: it translates keys, not characters. */
const SHIFTED = /[A-Z~!@#$%^&*()_+{}|:"<>?]/;
const TYPEABLE = /[\x20-\x7e\n\t]/;
/** @param {string} names  of X11, such as "Control_L Alt_L Delete" */
export function press(rfb, names) {
  const keys = names.split(" ").map((name) => KeyTable[`XK_${name}`]);
  for (const key of keys) rfb.sendKey(key, null, true);
  for (const key of keys.reverse()) rfb.sendKey(key, null, false);
}

/**
 * Types `text` as on a US keyboard.
 *
 * @param {number} pace  milliseconds from one character to the next. A PS/2 keyboard holds 16 bytes, some four keys; what
 *   a busy guest has not fetched by then is lost, and nobody tells
 * @param {(done: number) => boolean} goOn  told how far it is; false stops it
 * @returns {Promise<number>} how many characters have no key there and were left out
 */
export async function type(rfb, text, pace, goOn) {
  const characters = [...text.replaceAll("\r\n", "\n")];
  const typeable = characters.filter((character) => TYPEABLE.test(character));
  for (const [index, character] of typeable.entries()) {
    if (!goOn(index)) break;
    const shift = SHIFTED.test(character);
    if (shift) rfb.sendKey(KeyTable.XK_Shift_L, null, true);
    rfb.sendKey(keysymOf(character), null);
    if (shift) rfb.sendKey(KeyTable.XK_Shift_L, null, false);
    await new Promise((resolve) => setTimeout(resolve, pace));
  }
  return characters.length - typeable.length;
}

function keysymOf(character) {
  if (character === "\n") return KeyTable.XK_Return;
  if (character === "\t") return KeyTable.XK_Tab;
  return keysyms.lookup(character.codePointAt(0));
}
