// Annotates notes with nothing but Node's own modules: node annotate.mjs SOCKET NOTE...
// Prints begin, end, label and text of each entity, tab between. Offsets count UTF-16 code units, as JavaScript's strings do.
import { readFile } from "node:fs/promises";
import http from "node:http";

const agent = new http.Agent({ keepAlive: true });

function annotate(socketPath, request) {
  return new Promise((resolve, reject) => {
    const options = { socketPath, agent, path: "/v1/annotate", method: "POST", headers: { "Content-Type": "application/json" } };
    const sent = http.request(options, (response) => {
      const parts = [];
      response.on("data", (part) => parts.push(part));
      // The daemon went away within its answer: there is no "end" then.
      response.on("error", reject);
      response.on("end", () => {
        const answer = JSON.parse(Buffer.concat(parts).toString("utf8"));
        if (response.statusCode === 200) resolve(answer);
        else reject(new Error(`${response.statusCode} ${answer.error.code}: ${answer.error.message}`));
      });
    });
    // Above the daemon's default_deadline_ms (60 s), so that its 408 comes before this.
    sent.setTimeout(90_000, () => sent.destroy(new Error("no answer within 90 s")));
    sent.on("error", reject);
    sent.end(JSON.stringify(request));
  });
}

const [socketPath, ...notes] = process.argv.slice(2);
for (const note of notes) {
  const text = await readFile(note, "utf8");
  const answer = await annotate(socketPath, { text, offset_unit: "utf16_code_unit" });
  for (const entity of answer.entities) {
    if (text.slice(entity.begin, entity.end) !== entity.text) throw new Error("the offsets do not fit the text");
    console.log([entity.begin, entity.end, entity.label, entity.text.replaceAll("\n", " ")].join("\t"));
  }
}
agent.destroy();
