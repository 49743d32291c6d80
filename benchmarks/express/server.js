// Express as the replaced system used it: parse the JSON, answer, store nothing.
import express from "express";

const app = express();
app.use(express.json({ limit: "50mb" }));
app.post("/hook", (request, response) => {
  response.json({
    received: true,
    timestamp: new Date().toISOString(),
    environment: "development",
  });
});
app.listen(Number(process.argv[2]), "127.0.0.1");
