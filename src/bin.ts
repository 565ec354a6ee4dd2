import { main } from "./cli/Main.js"
import { runMain } from "./cli/RunMain.js"

runMain(main(process.argv))
