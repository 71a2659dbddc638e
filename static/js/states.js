/** Colour and icon of each state of a guest: the same as in vmdash/main/templatetags/ui.py. */

const LOOKS = {
  running: ["ok", "running"],
  idle: ["ok", "running"],
  paused: ["warn", "paused"],
  in_shutdown: ["busy", "shutdown"],
  shut_off: ["off", "off"],
  crashed: ["bad", "crashed"],
  dying: ["bad", "crashed"],
  pmsuspended: ["warn", "asleep"],
};

/** @returns {[tone: string, icon: string]} */
export function stateLook(state) {
  return LOOKS[state] ?? ["off", "unknown"];
}
