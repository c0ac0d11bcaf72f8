'use strict';
// Heads of the table sort it. Without this the table is as it was written: in the order of the instances.
for (const table of document.querySelectorAll('table.sortable')) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener('click', () => {
      const down = head.getAttribute('aria-sort') === 'ascending';
      heads.forEach((other) => other.removeAttribute('aria-sort'));
      head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      const order = new Intl.Collator('en', { numeric: true });
      const numbers = head.classList.contains('n');
      const key = (row) => {
        const text = row.cells[column].textContent;
        return numbers && text !== '' ? parseFloat(text.replace(/^[<>]/, '')) : text;
      };
      const compare = (a, b) => {
        // What is not known comes last either way.
        if (a.key === '' || b.key === '') return (a.key === '') - (b.key === '');
        return (numbers ? a.key - b.key : order.compare(a.key, b.key)) * (down ? -1 : 1);
      };
      const rows = [...body.rows].map((row) => ({ row, key: key(row) }));
      body.append(...rows.sort(compare).map((each) => each.row));
    });
  });
  document.documentElement.dataset.rows = body.rows.length;
}
document.documentElement.dataset.script = 'ran';
