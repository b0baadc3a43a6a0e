/**
 * Settings for connections of tests on a machine that is busy with other tests. They change how long
 * a connection may take to stand, and for PATIENT when a silent server is given up, nothing else.
 */
export const PATIENT_DIAL = { handshakeMs: 10_000 }

/** Where no test is about a server that falls silent. */
export const PATIENT = { ...PATIENT_DIAL, deadAfterMs: 10_000, breakAfter: 1_000 }
