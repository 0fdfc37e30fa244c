// Two people's changes to the same events, brought together.

const same = (a, b) => (!a && !b) || (a && b && a.onset_s === b.onset_s && a.offset_s === b.offset_s &&
  a.label === b.label && Boolean(a.checked) === Boolean(b.checked))

/**
 * Merge two lists of events that were both made from a third.
 *
 * What one side changed, added or deleted is kept. Where both changed one event, mine stands and is
 * listed under `conflicts` as {id, mine, theirs}; a side that deleted it has null there.
 */
export function merged (base, mine, theirs) {
  const byId = (events) => new Map(events.map((event) => [event.id, event]))
  const [old, own, other] = [byId(base), byId(mine), byId(theirs)]
  const events = []
  const conflicts = []
  for (const id of new Set([...own.keys(), ...other.keys()])) {
    const [was, me, them] = [old.get(id), own.get(id), other.get(id)]
    const iChanged = !same(was, me)
    const theyChanged = !same(was, them)
    if (iChanged && theyChanged && !same(me, them)) conflicts.push({ id, mine: me ?? null, theirs: them ?? null })
    const stands = iChanged ? me : them
    if (stands) events.push(stands)
  }
  return { events, conflicts }
}
