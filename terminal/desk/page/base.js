// What the parts of the counter's page share: talking to the counter program,
// what went wrong, who is signed in, and which parts are offered. Small, without a
// framework; texts come Chinese first from the platform.
export const $ = (id) => document.getElementById(id);
export const el = (tag, text, className) => {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (className) node.className = className;
  return node;
};

// ---- talking to the counter program

export class Problem extends Error {
  constructor(body) { super(body.title); this.body = body; }
}

export async function call(method, path, body) {
  const headers = {};
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (method !== 'GET') headers['Idempotency-Key'] = crypto.randomUUID();
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new Problem({ title: '柜台程序没有应答', detail: '请检查柜台程序是否仍在运行，然后重试。', titleEn: 'The counter program does not answer; check that it runs and try again.' });
  }
  if (answer.status === 204) return null;
  const value = await answer.json().catch(() => ({ title: '应答无法识别', titleEn: 'unreadable answer' }));
  if (!answer.ok) {
    if (answer.status === 401 && operator) signOut();
    throw new Problem(value);
  }
  return value;
}

// labelOf returns the Chinese words before a field.
const labelOf = (input) => input?.closest('label')?.firstChild.textContent.trim().split(' ')[0];

export function showProblem(error) {
  const body = error instanceof Problem ? error.body : { title: '页面出错', titleEn: String(error.message || error) };
  const box = $('problem');
  box.querySelector('strong').textContent = body.title || '出错';
  const inputs = (body.fields || []).map((f) => document.querySelector(`form:not([hidden]) [name="${CSS.escape(f.field)}"]`));
  const fields = (body.fields || []).map((f, i) => `${labelOf(inputs[i]) || f.field}：${f.zh}`).join('；');
  const english = (body.fields || []).map((f) => `${f.field}: ${f.en}`).join('; ');
  inputs.find(Boolean)?.focus();
  box.querySelector('.remedy').textContent = [body.detail, fields].filter(Boolean).join(' ');
  box.querySelector('.en').textContent = [body.titleEn, body.detailEn, english].filter(Boolean).join(' ');
  box.hidden = false;
}

// done says that something was done, until the next thing is.
export function done(text) {
  $('done').textContent = `✔ ${text}`;
  $('done').hidden = false;
  scrollTo(0, 0);
}

export const clearProblem = () => { $('problem').hidden = true; $('done').hidden = true; };

// guard runs an action of the person at the desk and shows what went wrong.
export const guard = (action) => async (event) => {
  event?.preventDefault?.();
  clearProblem();
  // A second press while the first is under way does nothing.
  const button = event?.submitter ?? (event?.currentTarget instanceof HTMLButtonElement ? event.currentTarget : null);
  if (button?.dataset.running) return undefined;
  if (button) button.dataset.running = 'yes';
  try { return await action(event); } catch (error) { showProblem(error); } finally { delete button?.dataset.running; }
};

// ---- who is signed in, and what is offered

export let operator = null;

// may says whether the platform lets the operator do something, by the name of
// the operation in its contract.
export const may = (operation) => operator?.may.includes(operation) ?? false;

const parts = [];

// part adds a part of the page: shown under a button to whoever may do the
// operation, opened by open, and emptied by clear when the operator leaves.
export function part(name, operation, open, clear) { parts.push({ name, operation, open, clear }); }

export async function openPart(name) {
  for (const p of parts) {
    $(`part-${p.name}`).hidden = p.name !== name;
    $(`to-${p.name}`).setAttribute('aria-current', p.name === name ? 'page' : 'false');
  }
  await parts.find((p) => p.name === name).open();
}

// signIn shows what the operator may work with, the first of it open.
export async function signIn(who) {
  operator = who;
  $('signed-out').hidden = true; $('signed-in').hidden = false; $('sign-out').hidden = false;
  $('operator').textContent = `${who.name}（${who.login}）`;
  $('workstation').textContent = who.workstation;
  const offered = parts.filter((p) => may(p.operation));
  for (const p of parts) $(`to-${p.name}`).hidden = !offered.includes(p);
  $('parts').hidden = offered.length < 2;
  // Who has business at a counter begins there.
  const first = offered.find((p) => p.name === 'counter') ?? offered[0];
  if (first) await openPart(first.name);
}

// signOut leaves nothing of a holder on the screen or behind it.
export function signOut() {
  operator = null;
  for (const form of document.forms) form.reset();
  for (const p of parts) p.clear();
  $('signed-in').hidden = true; $('signed-out').hidden = false; $('sign-out').hidden = true; $('parts').hidden = true;
  $('operator').textContent = '';
  $('sign-in').login.focus();
}

for (const button of document.querySelectorAll('#parts button')) {
  button.addEventListener('click', guard(() => openPart(button.id.slice('to-'.length))));
}

// ---- small things

export const beijing = (at, seconds) => new Date(at).toLocaleString('zh-CN', { dateStyle: 'short', timeStyle: seconds ? 'medium' : 'short' });

// options fills a list to choose from with pairs of value and text, and keeps
// what was chosen.
export function options(select, pairs) {
  const chosen = select.value;
  select.replaceChildren(...pairs.map(([value, text]) => Object.assign(el('option', text), { value })));
  if (pairs.some(([value]) => value === chosen)) select.value = chosen;
}

// row is a line of a table; a cell is text, or a node.
export function row(...cells) {
  const line = el('tr');
  line.append(...cells.map((cell) => {
    const made = el('td');
    made.append(cell ?? '');
    return made;
  }));
  return line;
}

// press is a button that does something.
export function press(text, action, className) {
  const button = el('button', text, className);
  button.type = 'button';
  button.addEventListener('click', guard(action));
  return button;
}

// words are what was typed into a field for several cards, one after the other.
export const words = (text) => text.split(/[\s,，、;；]+/).filter(Boolean);

// witness returns what the second person has typed, and forgets the password.
export function witness(form) {
  const signed = { login: form.elements['witness.login'].value, password: form.elements['witness.password'].value };
  form.elements['witness.password'].value = '';
  return signed;
}

export const dataURL = (file) => new Promise((resolve, reject) => {
  const reader = new FileReader();
  reader.onload = () => resolve(reader.result);
  reader.onerror = () => reject(new Problem({ title: '文件无法读取', titleEn: 'the file cannot be read' }));
  reader.readAsDataURL(file);
});
