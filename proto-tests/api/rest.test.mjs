// The HTTP API (SPEC, section 5), each endpoint with what it does and what it refuses, on one node and on three. Users act by token.
import { inBothForms } from '../support/forms.mjs';
import { wantTokens } from '../support/tokens.mjs';
import { cluster } from './rest/cluster.mjs';
import { friends } from './rest/friends.mjs';
import { groups } from './rest/groups.mjs';
import { messages } from './rest/messages.mjs';
import { requests } from './rest/requests.mjs';
import { users } from './rest/users.mjs';

inBothForms({ settings: wantTokens }, (form) => {
  users(form);
  messages(form);
  groups(form);
  friends(form);
  cluster(form);
  requests(form);
});
