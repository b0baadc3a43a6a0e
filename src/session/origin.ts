import type { Loaded } from './web-store.ts'

/** A constructor that returns what it is given lets a subclass put its private field onto it. */
class Given {
  constructor(object: object) {
    // biome-ignore lint/correctness/noConstructorReturn: that is all it is for
    return object
  }
}

/**
 * Notes on an object what it was loaded as: seen by nobody else, neither copied nor logged. A WeakMap
 * would do the same, but the collector pays for each of its entries, several per request.
 */
export class Origin extends Given {
  #loaded: Loaded

  constructor(object: object, loaded: Loaded) {
    super(object)
    this.#loaded = loaded
  }

  static note(object: object, loaded: Loaded): void {
    if (#loaded in object) object.#loaded = loaded
    else new Origin(object, loaded)
  }

  static of(object: object): Loaded | undefined {
    return #loaded in object ? object.#loaded : undefined
  }
}
