/** The form of a host: shows the fields that the chosen transport and credential need, and the libvirt URI they make. */

const form = document.getElementById("entry");
const fields = form.elements;
const uri = document.getElementById("uri");
const SSH = ["ssh", "libssh"];

/** The same as `vmdash.virt.uri.Endpoint.uri` */
function uriOf() {
  const transport = fields.transport.value;
  const path = fields.path.value.trim() || (fields.driver.value === "test" ? "/default" : "/system");
  if (transport === "unix") return `${fields.driver.value}://${path}`;
  const account = SSH.includes(transport) ? fields.username.value.trim() : "";
  const address = fields.address.value.trim() || "ADDRESS";
  const place = address.includes(":") && !address.startsWith("[") ? `[${address}]` : address;
  const port = fields.port.value ? `:${fields.port.value}` : "";
  return `${fields.driver.value}+${transport}://${account ? `${account}@` : ""}${place}${port}${path}`;
}

function show() {
  const transport = fields.transport.value;
  const generate = fields.credential.querySelector("[value=generate]");
  generate.hidden = generate.disabled = !SSH.includes(transport);
  if (generate.selected && generate.disabled) fields.credential.value = "new";
  const chosen = fields.credential.value;
  for (const part of form.querySelectorAll("[data-for]")) {
    part.hidden = !part.dataset.for.split(" ").includes(transport);
  }
  for (const part of form.querySelectorAll("[data-new]")) part.hidden = !["new", "generate"].includes(chosen);
  for (const part of form.querySelectorAll("[data-generated]")) part.hidden ||= chosen !== "generate";
  for (const part of form.querySelectorAll("[data-not-generated]")) part.hidden ||= chosen === "generate";
  uri.textContent = uriOf();
  uri.parentElement.hidden = false;
}

form.addEventListener("input", show);
show();
