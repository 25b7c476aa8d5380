// A real identity provider for the end-to-end tests, on a free port of the loopback. It prints its issuer when it listens.
//
//   node provider.mjs MODULES SETTINGS
//
// MODULES is the folder with node_modules (deploy/ci/tools installs it). SETTINGS is a JSON file: key and certificate (files in PEM), origin of
// the collector, client_id, client_secret, and people (a JSON file that is read at every login: { "ada": { "groups": ["ops"] } }).
// A person logs in with the own name and any password, on the pages that oidc-provider has for development.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [modules, file] = process.argv.slice(2);
const found = createRequire(join(modules, 'package.json')).resolve('oidc-provider');
const { default: Provider } = await import(pathToFileURL(found));
const settings = JSON.parse(readFileSync(file, 'utf8'));
const person = (id) => JSON.parse(readFileSync(settings.people, 'utf8'))[id];

let answer = (request, response) => response.destroy();
const options = { key: readFileSync(settings.key), cert: readFileSync(settings.certificate) };
const server = createServer(options, (request, response) => answer(request, response));
server.listen(0, '127.0.0.1', () => {
  const issuer = `https://localhost:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{
      client_id: settings.client_id,
      client_secret: settings.client_secret,
      redirect_uris: [`${settings.origin}/login/provider/callback`],
      post_logout_redirect_uris: [`${settings.origin}/login`],
    }],
    claims: { openid: ['sub'], profile: ['preferred_username', 'groups'], email: ['email'] },
    cookies: { keys: ['only for tests'] },
    features: { devInteractions: { enabled: true }, rpInitiatedLogout: { enabled: true } },
    pkce: { required: () => true },
    async findAccount(context, id) {
      const { groups } = person(id) ?? {};
      return { accountId: id, claims: async () => ({ sub: id, preferred_username: id, groups }) };
    },
  });
  answer = provider.callback();
  console.log(`issuer ${issuer}`);
});
