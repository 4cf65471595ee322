#!/bin/sh
# Makes schema.json from dashboards.ts and Grafana's own types. Needs node and npm; the tests need only what it makes.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$here/dashboards.ts" "$work/"
cat > "$work/tsconfig.json" <<'END'
{"compilerOptions": {"strict": true, "module": "esnext", "moduleResolution": "bundler", "skipLibCheck": true}, "files": ["dashboards.ts"]}
END
cd "$work"
npm install --silent --no-save --no-audit --no-fund --prefix "$work" \
    @grafana/schema@13.2.3 ts-json-schema-generator@2.4.0 typescript@5.9.3
npx tsc --noEmit --project tsconfig.json
npx ts-json-schema-generator --path dashboards.ts --tsconfig tsconfig.json --type ClassicDashboard --expose export \
    --jsDoc none --no-type-check --out schema.json
node -e '
const fs = require("fs");
const schema = JSON.parse(fs.readFileSync("schema.json"));
const note = "Made by make-schema.sh from the types of @grafana/schema 13.2.3 (Apache-2.0).";
fs.writeFileSync(process.argv[1], JSON.stringify({ $comment: note, ...schema }, null, 1) + "\n");
' "$here/schema.json"
