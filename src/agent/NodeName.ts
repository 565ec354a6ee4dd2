/** How a node is called where people read it. */

const uuid = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i

/** The first group of a generated id, which tells the nodes of a cluster apart; an id that somebody chose as it is. */
export const short = (nodeId: string): string => uuid.test(nodeId) ? nodeId.slice(0, 8) : nodeId
