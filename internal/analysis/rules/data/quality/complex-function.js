// ruleid: quality.complex-function
const shelf = (part) => {
  if (part === 'bolt') return 0;
  if (part === 'nut') return 1;
  if (part === 'screw') return 2;
  if (part === 'nail') return 3;
  if (part === 'hinge') return 4;
  if (part === 'lock') return 5;
  if (part === 'key') return 6;
  if (part === 'latch') return 7;
  if (part === 'knob') return 8;
  if (part === 'hook') return 9;
  if (part === 'chain') return 10;
  if (part === 'rope') return 11;
  if (part === 'wire') return 12;
  const known = part ? part.length > 3 && part !== 'none' : false;
  return known ? 1 : -1;
};

// ok: quality.complex-function
function shortShelf(part) {
  if (part === 'bolt') return 0;
  if (part === 'nut') return 1;
  if (part === 'screw') return 2;
  if (part === 'nail') return 3;
  if (part === 'hinge') return 4;
  if (part === 'lock') return 5;
  if (part === 'key') return 6;
  if (part === 'latch') return 7;
  if (part === 'knob') return 8;
  if (part === 'hook') return 9;
  if (part === 'chain') return 10;
  if (part === 'rope') return 11;
  if (part === 'wire') return 12;
  if (part === 'clamp') return 13;
  return -1;
}
