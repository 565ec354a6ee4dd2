#!/usr/bin/env node
// Starts the command with V8's code cache beside it, which saves half of the start-up time. Built into dist/bin by
// scripts/bundle.js. A cache that is absent, of another Node, cut short or rejected by V8 means a plain start.
"use strict"
const fs = require("node:fs")
const path = require("node:path")
const vm = require("node:vm")

const command = path.join(__dirname, "command.cjs")
// V8 checks its own version and the source's length; the name checks the rest.
const cache = path.join(__dirname, `command-__BUNDLE_HASH__-${process.version}-${process.arch}.cache`)

let cachedData
try {
  cachedData = fs.readFileSync(cache)
} catch {
  // Not there yet.
}
// The bundle is ASCII: as latin1 it takes half the memory, and a fraction of the time, of UTF-8.
const source = `(function (exports, require, module, __filename, __dirname) {${fs.readFileSync(command, "latin1")}\n})`
const script = new vm.Script(source, { filename: command, cachedData })
const wasCached = cachedData !== undefined && script.cachedDataRejected !== true
cachedData = undefined

/**
 * Saves the code compiled so far for the next start; called some time after the start, before any V8 flag is changed.
 * Whoever can write this file decides what the next start runs, so it is only written where this user alone, and
 * therefore already the bundle's owner, may write.
 */
globalThis[Symbol.for("@orchion/node-agent/saveCodeCache")] = () => {
  if (wasCached) return
  const temporary = `${cache}.${process.pid}.tmp`
  try {
    const directory = fs.statSync(__dirname)
    const uid = process.geteuid?.()
    if (uid !== undefined && (directory.uid !== uid || (directory.mode & 0o022) !== 0)) return
    fs.writeFileSync(temporary, script.createCachedData(), { flag: "wx", mode: 0o644 })
    fs.renameSync(temporary, cache)
  } catch {
    // A read-only file system, a full disk: the next start is plain again.
    fs.rm(temporary, { force: true }, () => {})
  }
}

script.runInThisContext()(exports, require, module, command, __dirname)
