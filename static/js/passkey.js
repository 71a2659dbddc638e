/* Passkeys: each form with `data-passkey` asks the browser for one, and is sent with what that gave. */
const TOLD = {
  NotAllowedError: "No passkey was used: it was cancelled, or took too long.",
  InvalidStateError: "This device has a passkey for this account already.",
  SecurityError: "Passkeys need https and the name that vmdash is known by.",
};

const can = window.PublicKeyCredential?.parseRequestOptionsFromJSON && navigator.credentials;

function given() {
  return JSON.parse(document.getElementById("passkey-options").textContent);
}

async function use(options) {
  return navigator.credentials.get({
    publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options.request_options.publicKey),
  });
}

async function add(form) {
  const { publicKey } = given().creation_options;
  if (form.elements.passwordless.checked) {
    publicKey.authenticatorSelection = {
      ...publicKey.authenticatorSelection,
      residentKey: "required",
      requireResidentKey: true,
      userVerification: "required",
    };
  }
  return navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(publicKey) });
}

async function signIn(form) {
  const answer = await fetch(form.action, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error("vmdash did not answer. Try again.");
  return use(await answer.json());
}

const WAYS = { add, use: () => use(given()), "sign-in": signIn };

for (const needs of can ? document.querySelectorAll("[data-passkey-needs]") : []) needs.hidden = true;

for (const form of can ? document.querySelectorAll("form[data-passkey]") : []) {
  const trouble = form.querySelector("[role=alert]");
  form.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    trouble.hidden = true;
    try {
      const credential = await WAYS[form.dataset.passkey](form);
      form.elements.credential.value = JSON.stringify(credential);
      form.submit();
    } catch (error) {
      trouble.textContent = TOLD[error.name] ?? error.message;
      trouble.hidden = false;
    }
  });
}
