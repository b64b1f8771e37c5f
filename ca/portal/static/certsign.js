// Code generated from bridge-js by `npm run build`; DO NOT EDIT.
var CertSign = (function(exports) {

Object.defineProperty(exports, Symbol.toStringTag, { value: 'Module' });

//#region src/errors.generated.ts
	const codes = new Set([
		"insecure_context",
		"mixed_content_blocked",
		"csp_blocked",
		"frame_not_delegated",
		"permission_denied",
		"permission_dismissed",
		"agent_not_running",
		"launch_unconfirmed",
		"agent_unreachable",
		"timeout",
		"origin_rejected",
		"host_rejected",
		"not_yours",
		"pairing_required",
		"agent_identity_mismatch",
		"version_unsupported",
		"site_unknown",
		"ticket_invalid",
		"ca_mismatch",
		"certificate_mismatch",
		"bad_request",
		"unknown_method",
		"unsupported",
		"busy",
		"too_large",
		"document_unreadable",
		"integrity_failed",
		"xml_malformed",
		"xml_doctype",
		"no_signature",
		"user_cancelled",
		"prompt_unavailable",
		"store_unavailable",
		"token_absent",
		"token_full",
		"driver_failed",
		"pin_incorrect",
		"pin_locked",
		"pin_not_set",
		"password_weak",
		"key_absent",
		"key_weak",
		"no_certificate",
		"certificate_expired",
		"ceremony_unknown",
		"consent_spent",
		"ca_unreachable",
		"internal_error",
		"address_refused",
		"evidence_unreachable",
		"key_generation_forbidden",
		"token_unrecognized",
		"driver_mismatch",
		"pin_unsuitable",
		"puk_locked",
		"login_failed",
		"second_factor_required",
		"second_factor_failed",
		"not_eligible",
		"terms_not_accepted",
		"too_many_certificates",
		"key_already_certified",
		"csr_invalid",
		"token_invalid",
		"token_expired",
		"token_spent",
		"token_for_other_csr",
		"code_incorrect",
		"code_locked",
		"state_forbids",
		"reason_forbidden",
		"not_found",
		"forbidden",
		"rate_limited"
	]);
	/** Those where doing the same thing again can succeed. */
	const retryable = new Set([
		"permission_dismissed",
		"agent_not_running",
		"launch_unconfirmed",
		"agent_unreachable",
		"timeout",
		"pairing_required",
		"busy",
		"document_unreadable",
		"integrity_failed",
		"user_cancelled",
		"store_unavailable",
		"token_absent",
		"driver_failed",
		"pin_incorrect",
		"password_weak",
		"ca_unreachable",
		"evidence_unreachable",
		"pin_unsuitable",
		"login_failed",
		"second_factor_required",
		"second_factor_failed",
		"terms_not_accepted",
		"code_incorrect",
		"rate_limited"
	]);

//#endregion
//#region src/errors.ts
/**
	* Everything that this library throws, except for the reason of an AbortSignal that the caller gave.
	*
	* `message` is a technical sentence in English; what a person should read comes from `describe(error.code, lang)`.
	*/
	var CertSignError = class extends Error {
		name = "CertSignError";
		code;
		/** A stable id for the cure: equal to the code, or a closer one that the agent gave. */
		remedy;
		/** Doing the same thing again can succeed once the remedy was followed. */
		retryable;
		/** What exactly happened, where more is known than the code says. May be empty. */
		detail;
		constructor(code, detail = "", options = {}) {
			super(detail === "" ? code : `${code}: ${detail}`, "cause" in options ? { cause: options.cause } : void 0);
			this.code = code;
			this.detail = detail;
			this.remedy = options.remedy ?? code;
			this.retryable = options.retryable ?? retryable.has(code);
		}
	};
	/** Tells whether s is a code of this library's list. */
	function isCode(s) {
		return typeof s === "string" && codes.has(s);
	}
	/** An agent's error as ours. A code that is newer than this library becomes internal_error and keeps its name in the detail. */
	function fromWire(e) {
		const known = isCode(e?.code);
		const message = typeof e?.message === "string" ? e.message : "";
		return new CertSignError(known ? e.code : "internal_error", known ? message : `${String(e?.code)}: ${message}`, {
			...typeof e?.remedy === "string" && e.remedy !== "" ? { remedy: e.remedy } : {},
			...typeof e?.retryable === "boolean" ? { retryable: e.retryable } : {}
		});
	}

//#endregion
//#region src/protocol.ts
	const subProtocol = "certsign.v1";
	const firstPort = 18731;
	const lastPort = 18794;
	/** A close code of the 44xx group and the error that it stands for. */
	const closeCodes = {
		4400: "bad_request",
		4401: "pairing_required",
		4403: "origin_rejected",
		4404: "site_unknown",
		4408: "timeout",
		4409: "busy",
		4413: "too_large",
		4421: "not_yours",
		4426: "version_unsupported",
		4429: "rate_limited",
		4500: "internal_error",
		4503: "prompt_unavailable"
	};

//#endregion
//#region src/channel.ts
/** Calls over a websocket. Made by open(). */
	var Channel = class {
		/** Events that belong to no request, and the end of the connection. */
		onEvent = () => {};
		onEnd = () => {};
		#socket;
		#pending = /* @__PURE__ */ new Map();
		#last = 0;
		#ended;
		constructor(socket) {
			this.#socket = socket;
			socket.addEventListener("message", (m) => this.#receive(m.data));
			socket.addEventListener("close", (e) => this.#end(closed(e.code, e.reason)));
			socket.addEventListener("error", () => setTimeout(() => this.#end(closed(1006, "")), 250));
		}
		get open() {
			return this.#ended === void 0;
		}
		/** Sends a request and waits for its answer. Aborting the signal gives the request up on both sides. */
		call(method, params, options = {}) {
			return new Promise((resolve, reject) => {
				options.signal?.throwIfAborted();
				if (this.#ended !== void 0) throw this.#ended;
				const id = String(++this.#last);
				const cancel = () => {
					this.#pending.delete(id);
					this.#send({
						id: String(++this.#last),
						method: "cancel",
						params: { id }
					});
					reject(options.signal?.reason);
				};
				const done = () => {
					this.#pending.delete(id);
					options.signal?.removeEventListener("abort", cancel);
				};
				this.#pending.set(id, {
					onEvent: options.onEvent,
					resolve: (result) => (done(), resolve(result)),
					reject: (reason) => (done(), reject(reason))
				});
				options.signal?.addEventListener("abort", cancel, { once: true });
				this.#send({
					id,
					method,
					...params === void 0 ? {} : { params }
				});
			});
		}
		close() {
			this.#end(new CertSignError("agent_unreachable", "the page closed the connection"));
			this.#socket.close(1e3);
		}
		#send(frame) {
			if (this.#socket.readyState === 1) this.#socket.send(JSON.stringify(frame));
		}
		#receive(data) {
			let frame;
			try {
				frame = JSON.parse(String(data));
				if (typeof frame !== "object" || frame === null) throw new TypeError("not an object");
			} catch {
				this.#end(new CertSignError("version_unsupported", "the agent sent something that is not a frame"));
				this.#socket.close(4400);
				return;
			}
			const pending = frame.id === void 0 ? void 0 : this.#pending.get(frame.id);
			if (typeof frame.event === "string") {
				const event = frame.data === void 0 ? { event: frame.event } : {
					event: frame.event,
					data: frame.data
				};
				(pending?.onEvent ?? this.onEvent)(event);
			} else if (frame.error !== void 0) pending?.reject(fromWire(frame.error));
			else pending?.resolve(frame.result);
		}
		#end(error) {
			if (this.#ended !== void 0) return;
			this.#ended = error;
			for (const p of [...this.#pending.values()]) p.reject(error);
			this.onEnd(error);
		}
	};
	/** What a close code says. The agent gives the problem's code as the reason; a browser's own codes say nothing. */
	function closed(code, reason) {
		const named = reason.split(":", 1)[0]?.trim();
		return new CertSignError((isCode(named) ? named : closeCodes[code]) ?? "agent_unreachable", reason === named ? `closed with ${code}` : reason || `closed with ${code}`);
	}
	/** Opens the socket and waits until it is open. */
	async function open(port, signal) {
		let socket;
		try {
			socket = new WebSocket(`ws://127.0.0.1:${port}/certsign/v1/socket`, subProtocol);
		} catch (cause) {
			throw new CertSignError("mixed_content_blocked", "the browser does not open a websocket to this computer", { cause });
		}
		const channel = new Channel(socket);
		await new Promise((resolve, reject) => {
			const abort = () => {
				reject(signal.reason);
				socket.close();
			};
			signal.addEventListener("abort", abort, { once: true });
			channel.onEnd = reject;
			socket.addEventListener("open", () => {
				signal.removeEventListener("abort", abort);
				if (socket.protocol === "certsign.v1") resolve();
				else {
					reject(new CertSignError("version_unsupported", `the agent does not speak ${subProtocol}`));
					socket.close();
				}
			});
		});
		return channel;
	}

//#endregion
//#region src/sha256.ts
/** Up to this size the browser computes the digest itself. */
	const inMemory = 32 << 20;
	const slice = 4 << 20;
	/** Returns the SHA-256 of a blob in hexadecimal. */
	async function sha256(blob) {
		if (blob.size <= inMemory) return hex(new Uint8Array(await crypto.subtle.digest("SHA-256", await read(blob))));
		const digest = new SHA256();
		for (let at = 0; at < blob.size; at += slice) digest.update(new Uint8Array(await read(blob.slice(at, at + slice))));
		return hex(digest.finish());
	}
	/** Reads a blob. A file that was moved or changed after it was chosen fails only here. */
	async function read(blob) {
		try {
			return await blob.arrayBuffer();
		} catch (cause) {
			throw new CertSignError("document_unreadable", "the browser cannot read the document", { cause });
		}
	}
	function hex(octets) {
		return Array.from(octets, (o) => o.toString(16).padStart(2, "0")).join("");
	}
	/** The first 32 bits of the fractional parts of the nth root of the first primes (FIPS 180-4, 4.2.2 and 5.3.3). */
	function constants(count, power) {
		const out = new Uint32Array(count);
		for (let n = 2, i = 0; i < count; n++) {
			let prime = true;
			for (let d = 2; d * d <= n; d++) if (n % d === 0) prime = false;
			if (prime) out[i++] = n ** power % 1 * 2 ** 32;
		}
		return out;
	}
	const K = constants(64, 1 / 3);
	/** An incremental digest. */
	var SHA256 = class {
		#h = constants(8, 1 / 2);
		#w = new Uint32Array(64);
		#block = new Uint8Array(64);
		#used = 0;
		#length = 0;
		update(data) {
			this.#length += data.length;
			let at = 0;
			while (at < data.length) {
				const n = Math.min(64 - this.#used, data.length - at);
				this.#block.set(data.subarray(at, at + n), this.#used);
				this.#used += n;
				at += n;
				if (this.#used === 64) this.#compress();
			}
		}
		/** Returns the digest; the object must not be used afterwards. */
		finish() {
			const bits = this.#length * 8;
			const padding = new Uint8Array((this.#length % 64 < 56 ? 56 : 120) - this.#length % 64 + 8);
			padding[0] = 128;
			const view = new DataView(padding.buffer);
			view.setUint32(padding.length - 8, Math.floor(bits / 2 ** 32));
			view.setUint32(padding.length - 4, bits >>> 0);
			this.update(padding);
			const out = /* @__PURE__ */ new DataView(/* @__PURE__ */ new ArrayBuffer(32));
			this.#h.forEach((word, i) => out.setUint32(4 * i, word));
			return new Uint8Array(out.buffer);
		}
		#compress() {
			const w = this.#w;
			const h = this.#h;
			const view = new DataView(this.#block.buffer);
			for (let i = 0; i < 16; i++) w[i] = view.getUint32(4 * i);
			for (let i = 16; i < 64; i++) {
				const x = w[i - 15];
				const y = w[i - 2];
				const s0 = rotate(x, 7) ^ rotate(x, 18) ^ x >>> 3;
				const s1 = rotate(y, 17) ^ rotate(y, 19) ^ y >>> 10;
				w[i] = w[i - 16] + s0 + w[i - 7] + s1;
			}
			let [a, b, c, d, e, f, g, z] = h;
			for (let i = 0; i < 64; i++) {
				const t1 = z + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + (e & f ^ ~e & g) + K[i] + w[i] | 0;
				const t2 = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + (a & b ^ a & c ^ b & c) | 0;
				z = g;
				g = f;
				f = e;
				e = d + t1 | 0;
				d = c;
				c = b;
				b = a;
				a = t1 + t2 | 0;
			}
			[
				a,
				b,
				c,
				d,
				e,
				f,
				g,
				z
			].forEach((v, i) => h[i] = h[i] + v);
			this.#used = 0;
		}
	};
	function rotate(x, n) {
		return x >>> n | x << 32 - n;
	}

//#endregion
//#region src/client.ts
/** A connection to the agent of the person at this computer. Made by connect(). */
	var Client = class {
		#channel;
		#documents;
		#listeners = /* @__PURE__ */ new Set();
		/** @internal */
		constructor(channel, port) {
			this.#channel = channel;
			this.#documents = `http://127.0.0.1:${port}/certsign/v1/documents/`;
			channel.onEvent = (e) => this.#listeners.forEach((l) => l(e));
		}
		/** Whether the connection still stands. */
		get connected() {
			return this.#channel.open;
		}
		status(options) {
			return this.#channel.call("status", void 0, options);
		}
		/** The certificates that this site may know of: those that its own certification authority issued. */
		async certificates(options) {
			return (await this.#channel.call("certificates", void 0, options)).certificates;
		}
		/**
		* Has a key made where the person chooses, hands its certificate request to `obtain`, which returns the portal's one-time
		* token for exactly that request, and returns the certificate, which the agent has fetched and stored beside its key.
		*
		* When `obtain` throws, no certificate is asked for and its error is passed on.
		*/
		async enroll(options, obtain) {
			const { onEvent, signal, ...wishes } = options;
			const ceremony = await this.#channel.call("enroll", wishes, {
				onEvent,
				signal
			});
			const token = await obtain(ceremony);
			signal?.throwIfAborted();
			return this.finish(ceremony.ceremony, token, {
				onEvent,
				signal
			});
		}
		/**
		* The second leg of an enrolment alone, for one that was interrupted. An empty token takes up what the agent has: a token that
		* it was given before, or the certificate itself; token_invalid when it has neither.
		*/
		finish(ceremony, token, options) {
			return this.#channel.call("enroll.finish", {
				ceremony,
				token
			}, options);
		}
		/**
		* Has a certificate of this site's own CA put beside its key, wherever on this computer that is. `certificates` are DER in
		* base64: the certificate, and after it those above it, as far as they are at hand. The agent asks for a password or PIN where
		* the key's store wants one, and for nothing when the certificate is there already. The answer has an entry for each copy of
		* the key; `key_absent` when there is none, or when another authority's certificate lies beside it.
		*/
		async save(certificates, options) {
			return (await this.#channel.call("certificate.save", { certificates }, options)).saved;
		}
		/**
		* Has documents signed by the person, who sees them in the agent's window. Each document has its own result or error; the
		* promise fails only when nothing could be signed at all.
		*/
		async sign(documents, options = {}) {
			const { onEvent, signal, ...wishes } = options;
			const blobs = documents.map((d) => new Blob([d.data]));
			const declared = [];
			for (const [i, d] of documents.entries()) {
				signal?.throwIfAborted();
				declared.push({
					name: d.name,
					mime: d.mime,
					size: blobs[i].size,
					sha256: await sha256(blobs[i])
				});
			}
			const stop = new AbortController();
			const abort = () => stop.abort(signal?.reason);
			signal?.addEventListener("abort", abort, { once: true });
			try {
				const answer = await this.#channel.call("sign", {
					documents: declared,
					...wishes
				}, {
					signal: stop.signal,
					onEvent: (e) => {
						if (e.event === "tickets") this.#upload(e.data.uploads, blobs, stop.signal).catch((error) => stop.abort(error));
						onEvent?.(e);
					}
				});
				const results = [];
				for (const [i, d] of documents.entries()) results.push(await this.#result(d.name, answer.results[i], stop.signal));
				return {
					certificate: answer.certificate,
					results
				};
			} finally {
				signal?.removeEventListener("abort", abort);
			}
		}
		/** Adds a listener for events that belong to no request; returns what removes it. */
		onEvent(listener) {
			this.#listeners.add(listener);
			return () => void this.#listeners.delete(listener);
		}
		close() {
			this.#channel.close();
		}
		async #upload(tickets, blobs, signal) {
			if (tickets.length !== blobs.length) throw new CertSignError("bad_request", "as many tickets as documents were expected");
			for (const [i, blob] of blobs.entries()) await this.#fetch(tickets[i], {
				method: "POST",
				body: blob,
				signal
			});
		}
		async #result(asked, answer, signal) {
			const name = answer?.name ?? asked;
			try {
				if (answer?.ticket === void 0) throw fromWire(answer?.error ?? {
					code: "internal_error",
					message: "no result"
				});
				const data = await (await this.#fetch(answer.ticket, { signal })).blob();
				const digest = await sha256(data);
				if (digest !== answer.sha256) throw new CertSignError("integrity_failed", `${name} was changed on its way to the page`);
				return {
					name,
					data,
					sha256: digest
				};
			} catch (error) {
				if (error instanceof CertSignError) return {
					name: asked,
					error
				};
				throw error;
			}
		}
		async #fetch(ticket, init) {
			let response;
			try {
				response = await fetch(this.#documents + encodeURIComponent(ticket), {
					...init,
					mode: "cors",
					credentials: "omit",
					cache: "no-store",
					redirect: "error",
					referrerPolicy: "no-referrer"
				});
			} catch (cause) {
				init.signal?.throwIfAborted();
				if (init.body instanceof Blob) await init.body.slice(0, 1).arrayBuffer().catch((c) => {
					throw new CertSignError("document_unreadable", "the browser cannot read the document", { cause: c });
				});
				throw new CertSignError("agent_unreachable", "the document could not be handed over", { cause });
			}
			if (!response.ok) throw fromWire((await response.json().catch(() => ({}))).error ?? {
				code: "internal_error",
				message: `HTTP status ${response.status}`
			});
			return response;
		}
	};

//#endregion
//#region src/permission.ts
/** The names that browsers know, the most telling first: only loopback-network tells that a person's refusals have lasted. */
	const names = ["loopback-network", "local-network-access"];
	/** Returns the browser's own status object, or undefined where it has none. */
	async function permissionStatus() {
		for (const name of names) try {
			return await navigator.permissions.query({ name });
		} catch {}
	}
	async function permission() {
		return (await permissionStatus())?.state ?? "unsupported";
	}
	/** Says why the browser does not let this page reach the agent: the person's answer, or the page that frames this one. */
	function denied() {
		const policy = document.featurePolicy;
		let framed = false;
		try {
			framed = window.top !== window && policy !== void 0 && !policy.allowsFeature("loopback-network");
		} catch {}
		return framed ? new CertSignError("frame_not_delegated", "the embedding page does not delegate loopback-network to this frame") : new CertSignError("permission_denied", "the browser denies this page access to the loopback network");
	}
	/** A page of this computer itself: browsers ask nothing there, although the permission's state says "prompt". */
	function pageIsLocal() {
		return /^((.+\.)?localhost|127(\.\d+){3}|\[::1\])$/.test(location.hostname);
	}
	/** Watches for requests to the agent that the page's own content security policy stops. The page sees nothing else of it. */
	function watchPolicy() {
		const watch = {
			blocked: false,
			stop: () => document.removeEventListener("securitypolicyviolation", listener)
		};
		const listener = (e) => {
			if (e.disposition === "enforce" && /^(https?|wss?):\/\/127\.0\.0\.1[:/]/.test(e.blockedURI + "/")) watch.blocked = true;
		};
		document.addEventListener("securitypolicyviolation", listener);
		return watch;
	}

//#endregion
//#region src/discover.ts
/** How long the ports may take. Refused ports answer within milliseconds; a foreign program may accept and say nothing. */
	const patience = 800;
	/** How long the browser's question may stay open. */
	const patienceForPerson = 12e4;
	/**
	* Asks all ports at once and returns the first one where an agent answers. Ports are asked by fetch only: browsers slow down
	* websockets that are refused, and one that hangs can hold up all others.
	*
	* Fails with agent_not_running, permission_denied, permission_dismissed, frame_not_delegated, not_yours or version_unsupported.
	*/
	async function discover(search) {
		const before = await permission();
		const first = await probeAll(search, before);
		if (typeof first === "number") return first;
		const after = await permission();
		if (before === "prompt" && after === "granted" && first.code === "agent_not_running") {
			const second = await probeAll(search, after);
			if (typeof second === "number") return second;
			throw second;
		}
		throw first.code === "agent_not_running" && after === "denied" ? denied() : first;
	}
	async function probeAll(search, state) {
		const asking = state === "prompt" && !pageIsLocal();
		const stop = new AbortController();
		const abort = () => stop.abort();
		let limit = setTimeout(abort, asking ? patienceForPerson : patience);
		const hint = setTimeout(() => asking && search.onPermission(), patience);
		const status = asking ? await permissionStatus() : void 0;
		const answered = () => {
			clearTimeout(limit);
			if (status?.state === "denied") stop.abort();
			else limit = setTimeout(abort, patience);
		};
		status?.addEventListener("change", answered);
		search.signal.addEventListener("abort", abort);
		const outcomes = [];
		try {
			return await new Promise((resolve) => {
				for (const port of search.ports) probe(port, stop.signal).then((outcome) => {
					outcomes.push(outcome);
					if (outcome.kind === "agent" && outcome.protocol === 1) resolve(port);
					else if (outcomes.length === search.ports.length) resolve(verdict(outcomes, asking));
				});
			});
		} finally {
			clearTimeout(hint);
			clearTimeout(limit);
			status?.removeEventListener("change", answered);
			search.signal.removeEventListener("abort", abort);
			stop.abort();
			search.signal.throwIfAborted();
		}
	}
	/** Says why no port gave an agent that we can talk to. */
	function verdict(outcomes, asking) {
		for (const o of outcomes) if (o.kind === "agent") {
			const old = o.protocol > 1 ? "this page" : "CertSign";
			return new CertSignError("version_unsupported", `CertSign speaks version ${o.protocol}, this page ${1}: ${old} is out of date`);
		}
		for (const o of outcomes) if (o.kind === "error") return o.error;
		if (asking && outcomes.some((o) => o.kind === "silent" && !o.aborted && o.after > patience)) return new CertSignError("permission_dismissed", "the browser's question was closed without an answer");
		return new CertSignError("agent_not_running", "no agent answered");
	}
	async function probe(port, signal) {
		const started = performance.now();
		try {
			const response = await fetch(`http://127.0.0.1:${port}/certsign/v1/hello`, {
				signal,
				mode: "cors",
				credentials: "omit",
				cache: "no-store",
				redirect: "error",
				referrerPolicy: "no-referrer"
			});
			const body = await response.json();
			if (typeof body === "object" && body !== null) {
				const hello = body;
				if (hello.agent === "certsign" && typeof hello.protocol === "number") return {
					kind: "agent",
					protocol: hello.protocol
				};
				if (!response.ok && hello.error !== void 0) {
					const error = fromWire(hello.error);
					if (error.code !== "internal_error") return {
						kind: "error",
						error
					};
				}
			}
		} catch {}
		return {
			kind: "silent",
			after: performance.now() - started,
			aborted: signal.aborted
		};
	}

//#endregion
//#region src/connect.ts
	const pollEvery = 250;
	const launchPatience = 3e4;
	/**
	* Finds the agent of the person at this computer and connects to it, which includes the browser's question and, for a new
	* site, the agent's own. Each ends in an error of its own when it is refused; see the table of codes in the README.
	*/
	async function connect(options = {}) {
		const signal = options.signal ?? new AbortController().signal;
		signal.throwIfAborted();
		if (!isSecureContext) throw new CertSignError("insecure_context", "this page is not a secure context");
		if (globalThis.origin === "null") throw new CertSignError("origin_rejected", "this page has no origin of its own");
		let last;
		const tell = (state) => {
			if (state !== last) options.onState?.(last = state);
		};
		const policy = watchPolicy();
		try {
			tell("searching");
			const port = await find(options, signal, tell);
			const channel = await dial(port, signal);
			await ready(channel, signal, tell);
			const client = new Client(channel, port);
			channel.onEnd = () => tell("disconnected");
			tell("connected");
			return client;
		} catch (error) {
			await new Promise((resolve) => setTimeout(resolve, 0));
			tell("disconnected");
			if (policy.blocked && error instanceof CertSignError) throw new CertSignError("csp_blocked", "the page's content security policy has no connect-src for 127.0.0.1", { cause: error });
			throw error;
		} finally {
			policy.stop();
		}
	}
	async function find(options, signal, tell) {
		const search = {
			ports: options.ports ?? Array.from({ length: 18794 - 18731 + 1 }, (_, i) => 18731 + i),
			signal,
			onPermission: () => tell("awaiting-permission")
		};
		try {
			return await discover(search);
		} catch (error) {
			if (options.launch !== true || !(error instanceof CertSignError) || error.code !== "agent_not_running") throw error;
		}
		tell("awaiting-launch");
		launch();
		for (const end = performance.now() + launchPatience; performance.now() < end;) {
			await pause(pollEvery, signal);
			try {
				return await discover(search);
			} catch (error) {
				if (!(error instanceof CertSignError) || error.code !== "agent_not_running") throw error;
			}
		}
		throw new CertSignError("launch_unconfirmed", "no agent answered after the system was asked to start one");
	}
	/** Follows the URL scheme by a link: unlike a frame it needs no frame-src, and it leaves the page where it is. */
	function launch() {
		const link = document.createElement("a");
		link.href = "certsign://start";
		link.hidden = true;
		document.body.append(link);
		link.click();
		link.remove();
	}
	/** Opens the one websocket, and once more when the permission was granted while it was being opened. */
	async function dial(port, signal) {
		const before = await permission();
		try {
			return await open(port, signal);
		} catch (error) {
			if (!(error instanceof CertSignError) || error.code !== "agent_unreachable") throw error;
			const after = await permission();
			if (after === "denied") throw denied();
			if (before === "prompt" && after === "granted") return open(port, signal);
			throw error;
		}
	}
	/** Waits until the agent has accepted this page's origin, which can mean that the person is asked. */
	function ready(channel, signal, tell) {
		return new Promise((resolve, reject) => {
			const abort = () => {
				reject(signal.reason);
				channel.close();
			};
			signal.addEventListener("abort", abort, { once: true });
			channel.onEnd = (error) => {
				signal.removeEventListener("abort", abort);
				reject(error);
			};
			channel.onEvent = (e) => {
				if (e.event === "awaiting-approval") tell("awaiting-approval");
				if (e.event === "ready") {
					signal.removeEventListener("abort", abort);
					resolve();
				}
			};
		});
	}
	function pause(ms, signal) {
		return new Promise((resolve, reject) => {
			const timer = setTimeout(() => {
				signal.removeEventListener("abort", abort);
				resolve();
			}, ms);
			const abort = () => {
				clearTimeout(timer);
				reject(signal.reason);
			};
			signal.addEventListener("abort", abort, { once: true });
		});
	}

//#endregion
//#region src/texts.generated.ts
	const texts = {
		insecure_context: {
			en: {
				message: "This page was not opened over a secure connection, so the browser does not let it reach CertSign.",
				reason: "The address begins with http:// instead of https://.",
				remedy: "Open the portal by its https:// address and try again."
			},
			pl: {
				message: "Ta strona nie została otwarta przez bezpieczne połączenie, dlatego przeglądarka nie pozwala jej połączyć się z programem CertSign.",
				reason: "Adres strony zaczyna się od http:// zamiast https://.",
				remedy: "Otwórz portal, używając adresu https://, i spróbuj ponownie."
			}
		},
		mixed_content_blocked: {
			en: {
				message: "The browser blocked the connection to CertSign because it is not encrypted.",
				reason: "This browser treats a connection inside your own computer as unsafe content of the page.",
				remedy: "Use a current version of Chrome, Edge or Firefox."
			},
			pl: {
				message: "Przeglądarka zablokowała połączenie z programem CertSign, ponieważ nie jest ono szyfrowane.",
				reason: "Ta przeglądarka uznaje połączenie wewnątrz Twojego komputera za niebezpieczną treść strony.",
				remedy: "Użyj aktualnej wersji przeglądarki Chrome, Edge lub Firefox."
			}
		},
		csp_blocked: {
			en: {
				message: "The portal's own security rules do not allow this page to reach CertSign.",
				reason: "The page was published without permission to connect to 127.0.0.1 in its content security policy.",
				remedy: "Tell the Help Desk: the portal's administrator has to add CertSign's address to connect-src."
			},
			pl: {
				message: "Zasady bezpieczeństwa portalu nie pozwalają tej stronie połączyć się z programem CertSign.",
				reason: "Strona została opublikowana bez zezwolenia na połączenie z adresem 127.0.0.1 w polityce bezpieczeństwa treści (CSP).",
				remedy: "Powiadom Help Desk: administrator portalu musi dodać adres programu CertSign do dyrektywy connect-src."
			}
		},
		frame_not_delegated: {
			en: {
				message: "The page is shown inside another page, and that one does not let it reach CertSign.",
				reason: "The frame that holds the page was made without the permission loopback-network.",
				remedy: "Open the portal in a tab of its own."
			},
			pl: {
				message: "Strona jest wyświetlana wewnątrz innej strony, która nie pozwala jej połączyć się z programem CertSign.",
				reason: "Ramka, w której znajduje się strona, nie ma uprawnienia loopback-network.",
				remedy: "Otwórz portal w osobnej karcie przeglądarki."
			}
		},
		permission_denied: {
			en: {
				message: "The browser does not let this page reach programs on your computer.",
				reason: "“Block” was chosen when the browser asked, or your organisation's settings forbid it.",
				remedy: "Open the site's settings (the icon to the left of the address), allow access to other apps on this device, and reload the page. If it cannot be changed, ask your administrator."
			},
			pl: {
				message: "Przeglądarka nie pozwala tej stronie łączyć się z programami na Twoim komputerze.",
				reason: "Na pytanie przeglądarki wybrano „Blokuj” albo zabraniają tego ustawienia Twojej organizacji.",
				remedy: "Otwórz ustawienia witryny (ikona po lewej stronie adresu), zezwól na dostęp do innych aplikacji na tym urządzeniu i odśwież stronę. Jeśli nie można tego zmienić, zwróć się do administratora."
			}
		},
		permission_dismissed: {
			en: {
				message: "The browser's question about access to CertSign was closed without an answer.",
				reason: "The question was closed, or it stayed hidden under another window.",
				remedy: "Try again and choose “Allow” when the browser asks."
			},
			pl: {
				message: "Pytanie przeglądarki o dostęp do programu CertSign zamknięto bez odpowiedzi.",
				reason: "Okno z pytaniem zostało zamknięte albo było zasłonięte przez inne okno.",
				remedy: "Spróbuj ponownie i wybierz „Zezwól”, gdy przeglądarka zapyta."
			}
		},
		agent_not_running: {
			en: {
				message: "CertSign is not running on this computer.",
				reason: "The program was not started yet, was closed, or is not installed.",
				remedy: "Start CertSign and try again. If it is not installed, ask your administrator or the Help Desk how to get it."
			},
			pl: {
				message: "Program CertSign nie jest uruchomiony na tym komputerze.",
				reason: "Program nie został jeszcze uruchomiony, został zamknięty albo nie jest zainstalowany.",
				remedy: "Uruchom program CertSign i spróbuj ponownie. Jeśli nie jest zainstalowany, zapytaj administratora lub Help Desk, skąd go wziąć."
			}
		},
		launch_unconfirmed: {
			en: {
				message: "CertSign did not answer after the browser was asked to start it.",
				reason: "The browser's question whether to open CertSign was not confirmed, or the program is not installed.",
				remedy: "Try again and confirm that CertSign may be opened. If no question appears, start CertSign from your system's menu."
			},
			pl: {
				message: "Program CertSign nie odpowiedział po próbie uruchomienia go przez przeglądarkę.",
				reason: "Nie potwierdzono pytania przeglądarki o otwarcie programu CertSign albo program nie jest zainstalowany.",
				remedy: "Spróbuj ponownie i potwierdź otwarcie programu CertSign. Jeśli pytanie się nie pojawia, uruchom program CertSign z menu systemu."
			}
		},
		agent_unreachable: {
			en: {
				message: "The connection to CertSign failed or was lost.",
				reason: "CertSign was closed or restarted, or a security program on this computer stops the connection.",
				remedy: "Check that CertSign is running and try again. If it happens again, ask your administrator."
			},
			pl: {
				message: "Nie udało się połączyć z programem CertSign albo połączenie zostało przerwane.",
				reason: "Program CertSign został zamknięty lub uruchomiony ponownie albo połączenie blokuje program zabezpieczający na tym komputerze.",
				remedy: "Sprawdź, czy program CertSign działa, i spróbuj ponownie. Jeśli problem się powtarza, zwróć się do administratora."
			}
		},
		timeout: {
			en: {
				message: "It took too long and was given up.",
				reason: "A window that waits for your answer may be hidden under another one, or the computer is very busy.",
				remedy: "Look for an open window of CertSign, then try again."
			},
			pl: {
				message: "Operacja trwała zbyt długo i została przerwana.",
				reason: "Okno, które czeka na Twoją odpowiedź, może być zasłonięte przez inne okno albo komputer jest bardzo obciążony.",
				remedy: "Sprawdź, czy nie czeka otwarte okno programu CertSign, i spróbuj ponownie."
			}
		},
		origin_rejected: {
			en: {
				message: "CertSign refused this site.",
				reason: "Access for the site was refused in CertSign's window, or the site is not one that may use CertSign.",
				remedy: "If you trust the site, try again and choose “Allow” in CertSign's window, or add it in CertSign's list of sites."
			},
			pl: {
				message: "Program CertSign odmówił dostępu tej stronie.",
				reason: "W oknie programu CertSign odmówiono dostępu albo ta strona nie może korzystać z programu CertSign.",
				remedy: "Jeśli ufasz tej stronie, spróbuj ponownie i wybierz „Zezwól” w oknie programu CertSign albo dodaj ją do listy witryn w programie CertSign."
			}
		},
		host_rejected: {
			en: {
				message: "CertSign was called by a name that is not its own and did not answer.",
				reason: "A page tried to reach CertSign under a foreign host name. That can be an attack.",
				remedy: "Close the page. If it is a page you need, tell the Help Desk."
			},
			pl: {
				message: "Program CertSign został wywołany pod obcą nazwą i nie odpowiedział.",
				reason: "Strona próbowała połączyć się z programem CertSign pod obcą nazwą hosta. Może to być próba ataku.",
				remedy: "Zamknij stronę. Jeśli jest Ci potrzebna, powiadom Help Desk."
			}
		},
		not_yours: {
			en: {
				message: "The CertSign that answered belongs to another user of this computer.",
				reason: "Several people are logged in to this computer, and your own CertSign is not running.",
				remedy: "Start CertSign in your own session and try again."
			},
			pl: {
				message: "Program CertSign, który odpowiedział, należy do innego użytkownika tego komputera.",
				reason: "Na komputerze zalogowanych jest kilka osób, a Twój program CertSign nie jest uruchomiony.",
				remedy: "Uruchom program CertSign w swojej sesji i spróbuj ponownie."
			}
		},
		pairing_required: {
			en: {
				message: "This page and CertSign do not know each other yet.",
				reason: "The site requires pairing, and it was not done in this browser.",
				remedy: "Pair the page with CertSign: compare the code on the page with the code in CertSign's window and confirm it."
			},
			pl: {
				message: "Ta strona i program CertSign jeszcze się nie znają.",
				reason: "Strona wymaga sparowania, którego nie wykonano w tej przeglądarce.",
				remedy: "Sparuj stronę z programem CertSign: porównaj kod na stronie z kodem w oknie programu CertSign i potwierdź go."
			}
		},
		agent_identity_mismatch: {
			en: {
				message: "The program that answered is not the CertSign this page knows.",
				reason: "CertSign was installed anew, or another program pretends to be CertSign.",
				remedy: "If you installed CertSign anew, pair it with the page again. Otherwise do not go on and tell your administrator."
			},
			pl: {
				message: "Program, który odpowiedział, nie jest programem CertSign znanym tej stronie.",
				reason: "Program CertSign został zainstalowany na nowo albo inny program się pod niego podszywa.",
				remedy: "Jeśli program CertSign został zainstalowany na nowo, sparuj go ze stroną jeszcze raz. W przeciwnym razie przerwij pracę i powiadom administratora."
			}
		},
		version_unsupported: {
			en: {
				message: "This page and CertSign speak different versions of their language.",
				reason: "CertSign on this computer, or the portal, is out of date.",
				remedy: "Install the current version of CertSign and reload the page."
			},
			pl: {
				message: "Ta strona i program CertSign używają różnych wersji protokołu.",
				reason: "Program CertSign na tym komputerze lub portal jest nieaktualny.",
				remedy: "Zainstaluj aktualną wersję programu CertSign i odśwież stronę."
			}
		},
		site_unknown: {
			en: {
				message: "CertSign does not know this site as one where certificates are issued.",
				reason: "The site is missing in CertSign's list of sites, so CertSign does not know its certification authority.",
				remedy: "Ask your administrator to add the site, or add it yourself with “certsign sites add” if you trust it."
			},
			pl: {
				message: "Program CertSign nie zna tej strony jako miejsca wydawania certyfikatów.",
				reason: "Strony nie ma na liście witryn programu CertSign, dlatego program nie zna jej urzędu certyfikacji.",
				remedy: "Poproś administratora o dodanie strony albo, jeśli jej ufasz, dodaj ją poleceniem „certsign sites add”."
			}
		},
		ticket_invalid: {
			en: {
				message: "The document's ticket is not valid any more.",
				reason: "The ticket was already used, has expired, or belongs to another connection.",
				remedy: "Start signing again from the beginning."
			},
			pl: {
				message: "Bilet dokumentu jest już nieważny.",
				reason: "Bilet został już użyty, wygasł albo należy do innego połączenia.",
				remedy: "Rozpocznij podpisywanie od początku."
			}
		},
		ca_mismatch: {
			en: {
				message: "The page named a certification authority that is not the one on CertSign's list for this site.",
				reason: "The page is set up wrongly, or somebody tries to have your key certified elsewhere.",
				remedy: "Do not go on. Tell the Help Desk."
			},
			pl: {
				message: "Strona wskazała inny urząd certyfikacji niż zapisany dla niej w programie CertSign.",
				reason: "Strona jest błędnie skonfigurowana albo ktoś próbuje uzyskać certyfikat dla Twojego klucza w innym miejscu.",
				remedy: "Przerwij pracę i powiadom Help Desk."
			}
		},
		certificate_mismatch: {
			en: {
				message: "The certificate that came back was not accepted.",
				reason: "It holds another key than the one made on this computer, or it was not issued by the site's certification authority.",
				remedy: "Nothing was stored. Generate the certificate again; if it happens again, tell the Help Desk."
			},
			pl: {
				message: "Otrzymany certyfikat nie został przyjęty.",
				reason: "Zawiera inny klucz niż wygenerowany na tym komputerze albo nie wydał go urząd certyfikacji tej strony.",
				remedy: "Niczego nie zapisano. Wygeneruj certyfikat ponownie; jeśli problem się powtórzy, powiadom Help Desk."
			}
		},
		bad_request: {
			en: {
				message: "The request cannot be understood.",
				reason: "Something in it is missing, too long or not of the expected form.",
				remedy: "Check what was entered. If you entered nothing yourself, tell the Help Desk."
			},
			pl: {
				message: "Żądanie jest niezrozumiałe.",
				reason: "Brakuje w nim danych albo są one zbyt długie lub mają niewłaściwą postać.",
				remedy: "Sprawdź wprowadzone dane. Jeśli niczego nie wprowadzano, powiadom Help Desk."
			}
		},
		unknown_method: {
			en: {
				message: "CertSign does not know this operation.",
				reason: "The portal is newer than CertSign on this computer.",
				remedy: "Install the current version of CertSign."
			},
			pl: {
				message: "Program CertSign nie zna tej operacji.",
				reason: "Portal jest nowszy niż program CertSign na tym komputerze.",
				remedy: "Zainstaluj aktualną wersję programu CertSign."
			}
		},
		unsupported: {
			en: {
				message: "This is not supported.",
				reason: "The format, level or kind of key that was asked for is not one that can be used here.",
				remedy: "Choose another one, or install the current version of CertSign."
			},
			pl: {
				message: "Ta możliwość nie jest obsługiwana.",
				reason: "Wybranego formatu, poziomu podpisu lub rodzaju klucza nie można tu użyć.",
				remedy: "Wybierz inny albo zainstaluj aktualną wersję programu CertSign."
			}
		},
		busy: {
			en: {
				message: "CertSign is busy with another operation.",
				reason: "A window of CertSign is still waiting for an answer, perhaps for another page.",
				remedy: "Finish or cancel what is open in CertSign and try again."
			},
			pl: {
				message: "Program CertSign jest zajęty inną operacją.",
				reason: "Okno programu CertSign nadal czeka na odpowiedź, być może dotyczącą innej strony.",
				remedy: "Dokończ lub anuluj otwartą operację w programie CertSign i spróbuj ponownie."
			}
		},
		too_large: {
			en: {
				message: "The document is too large.",
				reason: "It, or the number of documents, is over the limit.",
				remedy: "Choose a smaller document or fewer of them, or ask your administrator to raise the limit."
			},
			pl: {
				message: "Dokument jest zbyt duży.",
				reason: "Rozmiar dokumentu lub liczba dokumentów przekracza limit.",
				remedy: "Wybierz mniejszy dokument lub mniej dokumentów albo poproś administratora o podniesienie limitu."
			}
		},
		document_unreadable: {
			en: {
				message: "The document could not be read.",
				reason: "The file was moved, changed or deleted after it was chosen, or its disk is not reachable.",
				remedy: "Choose the document again."
			},
			pl: {
				message: "Nie można odczytać dokumentu.",
				reason: "Plik został przeniesiony, zmieniony lub usunięty po wybraniu albo dysk jest niedostępny.",
				remedy: "Wybierz dokument ponownie."
			}
		},
		integrity_failed: {
			en: {
				message: "The document arrived differently from how it was sent.",
				reason: "It was changed on its way between the page and CertSign.",
				remedy: "Nothing was used. Try again; if it happens again, tell the Help Desk."
			},
			pl: {
				message: "Dokument dotarł w innej postaci, niż został wysłany.",
				reason: "Został zmieniony w drodze między stroną a programem CertSign.",
				remedy: "Dokument nie został użyty. Spróbuj ponownie; jeśli problem się powtórzy, powiadom Help Desk."
			}
		},
		xml_malformed: {
			en: {
				message: "The document is not a correct XML document.",
				reason: "The file is damaged, cut short, or is of another kind.",
				remedy: "Create or export the document again and choose the new file."
			},
			pl: {
				message: "Dokument nie jest poprawnym dokumentem XML.",
				reason: "Plik jest uszkodzony, niekompletny albo innego rodzaju.",
				remedy: "Utwórz lub wyeksportuj dokument ponownie i wybierz nowy plik."
			}
		},
		xml_doctype: {
			en: {
				message: "The XML document contains a document type declaration (DOCTYPE), which is not accepted.",
				reason: "Such a declaration can change what the document says after it was signed.",
				remedy: "Export the document without DOCTYPE and try again."
			},
			pl: {
				message: "Dokument XML zawiera deklarację typu dokumentu (DOCTYPE), która nie jest dopuszczalna.",
				reason: "Taka deklaracja może zmienić treść dokumentu po jego podpisaniu.",
				remedy: "Wyeksportuj dokument bez deklaracji DOCTYPE i spróbuj ponownie."
			}
		},
		no_signature: {
			en: {
				message: "There is no signature in this document.",
				reason: "The document was not signed, or another file was chosen.",
				remedy: "Sign the document first, or choose the signed file."
			},
			pl: {
				message: "Dokument nie zawiera podpisu.",
				reason: "Dokument nie został podpisany albo wybrano inny plik.",
				remedy: "Najpierw podpisz dokument albo wybierz podpisany plik."
			}
		},
		user_cancelled: {
			en: {
				message: "The operation was cancelled.",
				reason: "“Refuse” or “Cancel” was chosen, or the window was closed.",
				remedy: "Start again if you want to go on."
			},
			pl: {
				message: "Operacja została anulowana.",
				reason: "Wybrano „Odmów” lub „Anuluj” albo zamknięto okno.",
				remedy: "Rozpocznij ponownie, jeśli chcesz kontynuować."
			}
		},
		prompt_unavailable: {
			en: {
				message: "CertSign cannot open a window to ask you.",
				reason: "CertSign runs without a desktop, or no program for its windows or for the PIN was found.",
				remedy: "Start CertSign in your own desktop session, or set window-command and pinentry-program in its configuration."
			},
			pl: {
				message: "Program CertSign nie może otworzyć okna z pytaniem.",
				reason: "Program CertSign działa bez pulpitu albo nie znaleziono programu do wyświetlania okien lub pytania o PIN.",
				remedy: "Uruchom program CertSign we własnej sesji pulpitu albo ustaw w jego konfiguracji window-command i pinentry-program."
			}
		},
		store_unavailable: {
			en: {
				message: "The place for keys is not available.",
				reason: "The folder cannot be written, the driver of the card is not installed, or this system has no such store.",
				remedy: "Check the settings of the store in CertSign, or choose another place for the key."
			},
			pl: {
				message: "Magazyn kluczy jest niedostępny.",
				reason: "Nie można zapisywać w folderze, sterownik karty nie jest zainstalowany albo ten system nie ma takiego magazynu.",
				remedy: "Sprawdź ustawienia magazynu w programie CertSign albo wybierz inne miejsce na klucz."
			}
		},
		token_absent: {
			en: {
				message: "The card or token is not there.",
				reason: "It was not inserted, was taken out, or the reader is not connected.",
				remedy: "Insert the card or token and try again."
			},
			pl: {
				message: "Nie znaleziono karty lub tokena.",
				reason: "Karta nie została włożona lub ją wyjęto albo czytnik nie jest podłączony.",
				remedy: "Włóż kartę lub podłącz token i spróbuj ponownie."
			}
		},
		token_full: {
			en: {
				message: "There is no room left on the card or token.",
				reason: "It holds as many keys and certificates as it can.",
				remedy: "Delete keys that you no longer need from it, or use another card or token."
			},
			pl: {
				message: "Na karcie lub tokenie nie ma już miejsca.",
				reason: "Zapisano już tyle kluczy i certyfikatów, ile się mieści.",
				remedy: "Usuń niepotrzebne klucze albo użyj innej karty lub innego tokena."
			}
		},
		driver_failed: {
			en: {
				message: "The driver of the card or token failed.",
				reason: "The driver reported an error or stopped working.",
				remedy: "Take the card or token out, insert it again and try once more. If it happens again, reinstall its driver."
			},
			pl: {
				message: "Sterownik karty lub tokena zawiódł.",
				reason: "Sterownik zgłosił błąd lub przestał działać.",
				remedy: "Wyjmij kartę lub token, włóż ponownie i spróbuj jeszcze raz. Jeśli problem się powtarza, zainstaluj sterownik na nowo."
			}
		},
		pin_incorrect: {
			en: {
				message: "The PIN or password is wrong.",
				reason: "It was mistyped, Caps Lock is on, or it belongs to another key.",
				remedy: "Try again carefully: a card locks its PIN after a few wrong tries."
			},
			pl: {
				message: "PIN lub hasło są nieprawidłowe.",
				reason: "Popełniono błąd przy wpisywaniu, włączony jest Caps Lock albo hasło należy do innego klucza.",
				remedy: "Spróbuj ponownie, ale ostrożnie: po kilku błędnych próbach karta zablokuje PIN."
			}
		},
		pin_locked: {
			en: {
				message: "The PIN of the card or token is locked.",
				reason: "It was entered wrongly too many times.",
				remedy: "Unlock it with the PUK, the card administrator's PIN: certsign pin unblock, or the program that came with the card."
			},
			pl: {
				message: "PIN karty lub tokena jest zablokowany.",
				reason: "Zbyt wiele razy podano błędny PIN.",
				remedy: "Odblokuj go kodem PUK (PIN-em administratora karty) poleceniem certsign pin unblock albo w programie dostarczonym z kartą."
			}
		},
		pin_not_set: {
			en: {
				message: "The card or token has no PIN of yours yet.",
				reason: "It is new and has no PIN, or a first PIN that must be changed before use.",
				remedy: "Set the PIN with certsign pin first, change a first PIN with certsign pin change, or use the program that came with the card."
			},
			pl: {
				message: "Karta lub token nie ma jeszcze Twojego kodu PIN.",
				reason: "Karta lub token są nowe i nie mają kodu PIN albo mają PIN startowy, który trzeba zmienić przed użyciem.",
				remedy: "Ustaw PIN poleceniem certsign pin first, PIN startowy zmień poleceniem certsign pin change albo użyj programu dostarczonego z kartą."
			}
		},
		password_weak: {
			en: {
				message: "The password is too weak.",
				reason: "It needs at least 12 characters with a lower-case letter, an upper-case letter, a digit and a special character.",
				remedy: "Choose a password that meets all of these and that you use nowhere else."
			},
			pl: {
				message: "Hasło jest zbyt słabe.",
				reason: "Musi mieć co najmniej 12 znaków, w tym małą literę, wielką literę, cyfrę i znak specjalny.",
				remedy: "Wybierz hasło, które spełnia wszystkie te warunki i nie jest używane nigdzie indziej."
			}
		},
		key_absent: {
			en: {
				message: "The private key was not found.",
				reason: "The key file was moved or deleted, or the key is on another card, token or computer.",
				remedy: "Use the computer, card or file where the key was made. A lost key cannot be recovered: generate a new certificate."
			},
			pl: {
				message: "Nie znaleziono klucza prywatnego.",
				reason: "Plik z kluczem został przeniesiony lub usunięty albo klucz znajduje się na innej karcie, tokenie lub komputerze.",
				remedy: "Użyj komputera, karty lub pliku, w którym utworzono klucz. Utraconego klucza nie można odzyskać: wygeneruj nowy certyfikat."
			}
		},
		key_weak: {
			en: {
				message: "The key is too weak.",
				reason: "It is shorter than allowed, or of a kind that is no longer considered safe.",
				remedy: "Generate a new key: RSA of at least 2048 bits, or an elliptic curve key P-256 or P-384."
			},
			pl: {
				message: "Klucz jest zbyt słaby.",
				reason: "Jest krótszy, niż to dozwolone, albo takiego rodzaju, którego nie uważa się już za bezpieczny.",
				remedy: "Wygeneruj nowy klucz: RSA o długości co najmniej 2048 bitów albo klucz krzywej eliptycznej P-256 lub P-384."
			}
		},
		no_certificate: {
			en: {
				message: "There is no certificate on this computer that can be used here.",
				reason: "No customs certificate was generated yet, or its card or key file is not available.",
				remedy: "Insert your card or token, or generate a customs certificate in the portal."
			},
			pl: {
				message: "Na tym komputerze nie ma certyfikatu, którego można tu użyć.",
				reason: "Nie wygenerowano jeszcze certyfikatu celnego albo karta lub plik z kluczem są niedostępne.",
				remedy: "Włóż kartę lub podłącz token albo wygeneruj certyfikat celny w portalu."
			}
		},
		certificate_expired: {
			en: {
				message: "The certificate is not valid at this time.",
				reason: "Its validity has ended or has not begun, or the clock of this computer is wrong.",
				remedy: "Check the computer's date and time. If they are right, generate a new certificate."
			},
			pl: {
				message: "Certyfikat nie jest teraz ważny.",
				reason: "Okres ważności minął lub jeszcze się nie zaczął albo zegar komputera jest źle ustawiony.",
				remedy: "Sprawdź datę i godzinę na komputerze. Jeśli są poprawne, wygeneruj nowy certyfikat."
			}
		},
		ceremony_unknown: {
			en: {
				message: "The generation that was to be finished is not known.",
				reason: "It was already finished or given up, or it was begun on another computer or by another site.",
				remedy: "Look in the list of certificates. If the certificate is not there, generate it again."
			},
			pl: {
				message: "Nie znaleziono generowania certyfikatu, które miało zostać dokończone.",
				reason: "Zostało już zakończone lub porzucone albo rozpoczęto je na innym komputerze lub na innej stronie.",
				remedy: "Sprawdź listę certyfikatów. Jeśli nie ma na niej certyfikatu, wygeneruj go ponownie."
			}
		},
		consent_spent: {
			en: {
				message: "Your consent does not cover this signature.",
				reason: "A consent is valid once, for exactly the documents that were shown.",
				remedy: "Start again and confirm the new question."
			},
			pl: {
				message: "Udzielona zgoda nie obejmuje tego podpisu.",
				reason: "Zgoda jest jednorazowa i dotyczy dokładnie tych dokumentów, które pokazano.",
				remedy: "Rozpocznij ponownie i potwierdź nowe pytanie."
			}
		},
		ca_unreachable: {
			en: {
				message: "The certification authority does not answer.",
				reason: "There is no network, a proxy stands in the way, or the authority is being maintained.",
				remedy: "Check the network and try again later. What was begun is kept and will be finished."
			},
			pl: {
				message: "Urząd certyfikacji nie odpowiada.",
				reason: "Brak połączenia z siecią, połączenie blokuje serwer proxy albo w urzędzie trwają prace serwisowe.",
				remedy: "Sprawdź połączenie z siecią i spróbuj ponownie później. Rozpoczęta operacja została zachowana i zostanie dokończona."
			}
		},
		internal_error: {
			en: {
				message: "Something went wrong inside the program.",
				reason: "This is a fault of the program or of the system, not of what you did.",
				remedy: "Try again. If it happens again, tell the Help Desk and send the log."
			},
			pl: {
				message: "Wystąpił błąd wewnętrzny programu.",
				reason: "To błąd programu lub systemu, a nie skutek Twojego działania.",
				remedy: "Spróbuj ponownie. Jeśli problem się powtórzy, powiadom Help Desk i prześlij dziennik."
			}
		},
		address_refused: {
			en: {
				message: "The program does not connect to this address.",
				reason: "The address is not among those that were configured, or it points into a private network.",
				remedy: "Check the address. If it is right, ask your administrator to allow it."
			},
			pl: {
				message: "Program nie łączy się z tym adresem.",
				reason: "Adresu nie ma wśród skonfigurowanych albo wskazuje on sieć prywatną.",
				remedy: "Sprawdź adres. Jeśli jest poprawny, poproś administratora o zezwolenie na połączenie."
			}
		},
		evidence_unreachable: {
			en: {
				message: "Information about a certificate or signature could not be fetched.",
				reason: "The server that publishes it, a certificate or its revocation status, does not answer.",
				remedy: "Check the network and try again later."
			},
			pl: {
				message: "Nie udało się pobrać danych dotyczących certyfikatu lub podpisu.",
				reason: "Serwer, który udostępnia certyfikat lub informacje o jego unieważnieniu, nie odpowiada.",
				remedy: "Sprawdź połączenie z siecią i spróbuj ponownie później."
			}
		},
		key_generation_forbidden: {
			en: {
				message: "New keys cannot be made on this card or token.",
				reason: "Its issuer allows only the keys that are on it already, as on qualified signature cards, or it is write-protected, or its driver can only use keys.",
				remedy: "Choose another card or token, or a key file. The certificates that are on the card can still be used for signing."
			},
			pl: {
				message: "Na tej karcie lub na tym tokenie nie można tworzyć nowych kluczy.",
				reason: "Wydawca dopuszcza tylko klucze, które już się tam znajdują (tak jest na kartach do podpisu kwalifikowanego), zapis jest zablokowany albo sterownik pozwala jedynie używać kluczy.",
				remedy: "Wybierz inną kartę, inny token lub plik z kluczem. Certyfikatów, które są na karcie, nadal można używać do podpisywania."
			}
		},
		token_unrecognized: {
			en: {
				message: "The card in the reader was not recognised.",
				reason: "The installed driver does not know this kind of card, the card is not a signature card, is damaged, or is inserted the wrong way round.",
				remedy: "Check that the right card is in the right reader and install the driver of the card's issuer."
			},
			pl: {
				message: "Nie rozpoznano karty w czytniku.",
				reason: "Zainstalowany sterownik nie zna kart tego rodzaju albo nie jest to karta do podpisu, jest uszkodzona lub włożono ją odwrotnie.",
				remedy: "Sprawdź, czy właściwa karta jest we właściwym czytniku, i zainstaluj sterownik od wydawcy karty."
			}
		},
		driver_mismatch: {
			en: {
				message: "The driver of the card or token is for another kind of program.",
				reason: "It is a 32-bit driver and CertSign is a 64-bit program, or it was made for another kind of processor.",
				remedy: "Install the 64-bit version of the driver, or the complete CertSign package, which holds the 32-bit program certsign-pkcs11-32 for such drivers on Windows."
			},
			pl: {
				message: "Sterownik karty lub tokena jest przeznaczony dla programów innego rodzaju.",
				reason: "Sterownik jest 32-bitowy, a CertSign to program 64-bitowy, albo sterownik przygotowano dla procesora innego typu.",
				remedy: "Zainstaluj 64-bitową wersję sterownika albo pełny pakiet CertSign, który w systemie Windows zawiera 32-bitowy program certsign-pkcs11-32 dla takich sterowników."
			}
		},
		pin_unsuitable: {
			en: {
				message: "The card or token does not accept this as a new PIN.",
				reason: "It is shorter or longer than the card allows, holds characters that it does not know, or is too simple for it.",
				remedy: "Choose another PIN of the length that is shown, of letters without accents and digits. Many cards accept digits only."
			},
			pl: {
				message: "Karta lub token nie przyjmuje takiego nowego kodu PIN.",
				reason: "PIN jest krótszy lub dłuższy, niż pozwala karta, zawiera znaki, których ona nie obsługuje, albo jest zbyt prosty.",
				remedy: "Wybierz inny PIN o podanej długości, złożony z cyfr i liter bez polskich znaków. Wiele kart przyjmuje tylko cyfry."
			}
		},
		puk_locked: {
			en: {
				message: "The PUK of the card or token is locked.",
				reason: "It was entered wrongly too many times.",
				remedy: "CertSign cannot unlock it. Ask the issuer of the card; in most cases the card must be replaced and a new certificate generated."
			},
			pl: {
				message: "Kod PUK karty lub tokena jest zablokowany.",
				reason: "Zbyt wiele razy podano błędny kod PUK.",
				remedy: "Program CertSign nie może go odblokować. Zwróć się do wydawcy karty; zwykle kartę trzeba wymienić i wygenerować nowy certyfikat."
			}
		},
		login_failed: {
			en: {
				message: "The e-mail address or the password is wrong.",
				reason: "One of them was mistyped, or there is no such account.",
				remedy: "Check both and try again."
			},
			pl: {
				message: "Adres e-mail lub hasło są nieprawidłowe.",
				reason: "Popełniono błąd przy wpisywaniu albo takie konto nie istnieje.",
				remedy: "Sprawdź dane i spróbuj ponownie."
			}
		},
		second_factor_required: {
			en: {
				message: "A one-time code is needed.",
				reason: "Generating and resuming a certificate is protected by a code sent to your e-mail address.",
				remedy: "Take the code from the message and enter it."
			},
			pl: {
				message: "Potrzebny jest kod jednorazowy.",
				reason: "Generowanie i wznawianie certyfikatu jest chronione kodem wysyłanym na Twój adres e-mail.",
				remedy: "Przepisz kod z wiadomości e-mail."
			}
		},
		second_factor_failed: {
			en: {
				message: "The one-time code is wrong or no longer valid.",
				reason: "It was mistyped, is older than ten minutes, or a newer one was sent.",
				remedy: "Enter the code from the newest message, or have a new one sent."
			},
			pl: {
				message: "Kod jednorazowy jest nieprawidłowy lub stracił ważność.",
				reason: "Popełniono błąd przy wpisywaniu, kod ma ponad dziesięć minut albo wysłano nowszy.",
				remedy: "Wpisz kod z najnowszej wiadomości albo poproś o wysłanie nowego."
			}
		},
		not_eligible: {
			en: {
				message: "This account cannot have a customs certificate.",
				reason: "It has no extended scope of rights, or the person has no ID SISC number.",
				remedy: "Extend the account's scope of rights and register the person to obtain an ID SISC number, then come back."
			},
			pl: {
				message: "Dla tego konta nie można wydać certyfikatu celnego.",
				reason: "Konto nie ma rozszerzonego zakresu uprawnień albo osoba nie ma numeru ID SISC.",
				remedy: "Rozszerz zakres uprawnień konta i zarejestruj osobę, aby uzyskać numer ID SISC, a następnie wróć na tę stronę."
			}
		},
		terms_not_accepted: {
			en: {
				message: "The Terms have not been accepted.",
				reason: "They were not confirmed, or a new version has been published since.",
				remedy: "Read and confirm the Terms, then continue."
			},
			pl: {
				message: "Regulamin nie został zaakceptowany.",
				reason: "Nie potwierdzono zapoznania się z nim albo opublikowano nową wersję.",
				remedy: "Przeczytaj i potwierdź regulamin, a następnie kontynuuj."
			}
		},
		too_many_certificates: {
			en: {
				message: "You have as many valid customs certificates as one person may have.",
				reason: "The limit of active certificates is reached.",
				remedy: "Revoke a certificate that you no longer use, then generate a new one."
			},
			pl: {
				message: "Masz już tyle ważnych certyfikatów celnych, ile może mieć jedna osoba.",
				reason: "Osiągnięto limit aktywnych certyfikatów.",
				remedy: "Unieważnij certyfikat, którego już nie używasz, a następnie wygeneruj nowy."
			}
		},
		key_already_certified: {
			en: {
				message: "A certificate has already been issued for this key.",
				reason: "Each certificate needs a key of its own.",
				remedy: "Generate the certificate again: a new key is made then."
			},
			pl: {
				message: "Dla tego klucza wydano już certyfikat.",
				reason: "Każdy certyfikat wymaga własnego klucza.",
				remedy: "Wygeneruj certyfikat ponownie: powstanie wtedy nowy klucz."
			}
		},
		csr_invalid: {
			en: {
				message: "The certificate request was not accepted.",
				reason: "The request is damaged, or its signature does not fit the key in it.",
				remedy: "Generate the certificate again. If it happens again, tell the Help Desk."
			},
			pl: {
				message: "Wniosek o certyfikat nie został przyjęty.",
				reason: "Wniosek jest uszkodzony albo jego podpis nie pasuje do zawartego w nim klucza.",
				remedy: "Wygeneruj certyfikat ponownie. Jeśli problem się powtórzy, powiadom Help Desk."
			}
		},
		token_invalid: {
			en: {
				message: "The authorisation to issue the certificate is not valid.",
				reason: "It is damaged or was not given out by this portal.",
				remedy: "Generate the certificate again from the portal."
			},
			pl: {
				message: "Upoważnienie do wydania certyfikatu jest nieważne.",
				reason: "Jest uszkodzone albo nie wystawił go ten portal.",
				remedy: "Wygeneruj certyfikat ponownie, zaczynając w portalu."
			}
		},
		token_expired: {
			en: {
				message: "The authorisation to issue the certificate has expired.",
				reason: "Too much time passed between the portal's permission and the request.",
				remedy: "Generate the certificate again from the portal."
			},
			pl: {
				message: "Upoważnienie do wydania certyfikatu wygasło.",
				reason: "Od zgody portalu do złożenia wniosku minęło zbyt wiele czasu.",
				remedy: "Wygeneruj certyfikat ponownie, zaczynając w portalu."
			}
		},
		token_spent: {
			en: {
				message: "The authorisation to issue the certificate was already used.",
				reason: "It is valid once, and a certificate was issued with it.",
				remedy: "Look in the list of certificates. If you need another one, generate it from the portal."
			},
			pl: {
				message: "Upoważnienie do wydania certyfikatu zostało już wykorzystane.",
				reason: "Jest jednorazowe i wydano już na jego podstawie certyfikat.",
				remedy: "Sprawdź listę certyfikatów. Jeśli potrzebujesz kolejnego, wygeneruj go w portalu."
			}
		},
		token_for_other_csr: {
			en: {
				message: "The authorisation was given for another certificate request.",
				reason: "The request was exchanged after the portal permitted it.",
				remedy: "Generate the certificate again from the portal. If it happens again, tell the Help Desk."
			},
			pl: {
				message: "Upoważnienie wystawiono dla innego wniosku o certyfikat.",
				reason: "Wniosek został podmieniony po uzyskaniu zgody portalu.",
				remedy: "Wygeneruj certyfikat ponownie, zaczynając w portalu. Jeśli problem się powtórzy, powiadom Help Desk."
			}
		},
		code_incorrect: {
			en: {
				message: "The verification code is wrong.",
				reason: "It was mistyped, or it belongs to another certificate.",
				remedy: "Take the code from the confirmation of this certificate: click its serial number and “Download confirmation”."
			},
			pl: {
				message: "Kod weryfikacyjny jest nieprawidłowy.",
				reason: "Popełniono błąd przy wpisywaniu albo kod dotyczy innego certyfikatu.",
				remedy: "Użyj kodu z potwierdzenia wydania tego certyfikatu: kliknij jego numer seryjny i wybierz „Pobierz potwierdzenie”."
			}
		},
		code_locked: {
			en: {
				message: "The verification code of this certificate is locked.",
				reason: "A wrong code was given five times.",
				remedy: "Contact the Help Desk: it can unlock the code after checking who you are."
			},
			pl: {
				message: "Kod weryfikacyjny tego certyfikatu jest zablokowany.",
				reason: "Pięć razy podano błędny kod.",
				remedy: "Skontaktuj się z Help Desk, który po sprawdzeniu tożsamości może odblokować kod."
			}
		},
		state_forbids: {
			en: {
				message: "This is not possible in the certificate's or document's present state.",
				reason: "A revoked or expired certificate cannot be changed, only a suspended one can be resumed, and a sent document cannot be sent again.",
				remedy: "Reload the page and look at the present state."
			},
			pl: {
				message: "Nie jest to możliwe w obecnym stanie certyfikatu lub dokumentu.",
				reason: "Certyfikatu unieważnionego lub wygasłego nie można zmienić, wznowić można tylko certyfikat zawieszony, a wysłanego dokumentu nie można wysłać ponownie.",
				remedy: "Odśwież stronę i sprawdź obecny stan."
			}
		},
		reason_forbidden: {
			en: {
				message: "This reason cannot be used here.",
				reason: "Some reasons are meant for a suspension only, or only the certification authority may use them.",
				remedy: "Choose another reason from the list."
			},
			pl: {
				message: "Tej przyczyny nie można tu użyć.",
				reason: "Niektóre przyczyny dotyczą tylko zawieszenia albo może ich użyć tylko urząd certyfikacji.",
				remedy: "Wybierz inną przyczynę z listy."
			}
		},
		not_found: {
			en: {
				message: "It was not found.",
				reason: "The address is wrong, it was deleted, or it belongs to somebody else.",
				remedy: "Go back to the list and choose again."
			},
			pl: {
				message: "Nie znaleziono.",
				reason: "Adres jest błędny, pozycję usunięto albo należy ona do kogoś innego.",
				remedy: "Wróć do listy i wybierz ponownie."
			}
		},
		forbidden: {
			en: {
				message: "This account may not do that.",
				reason: "The operation needs other rights, or the page was opened in another session.",
				remedy: "Log in with an account that has the right, or ask the Help Desk."
			},
			pl: {
				message: "To konto nie ma uprawnień do tej operacji.",
				reason: "Operacja wymaga innych uprawnień albo stronę otwarto w innej sesji.",
				remedy: "Zaloguj się na konto z odpowiednimi uprawnieniami albo zwróć się do Help Desk."
			}
		},
		rate_limited: {
			en: {
				message: "There were too many tries.",
				reason: "The same thing was tried too often in a short time.",
				remedy: "Wait a few minutes and try again."
			},
			pl: {
				message: "Zbyt wiele prób.",
				reason: "Tę samą operację próbowano wykonać zbyt często w krótkim czasie.",
				remedy: "Odczekaj kilka minut i spróbuj ponownie."
			}
		}
	};

//#endregion
//#region src/describe.ts
/** What a person should read about a code, in Polish or English. A code that is not known is described as internal_error. */
	function describe(code, lang = "en") {
		const entry = Object.hasOwn(texts, code) ? texts[code] : texts.internal_error;
		return lang.toLowerCase().startsWith("pl") ? entry.pl : entry.en;
	}

//#endregion
exports.CertSignError = CertSignError;
exports.Client = Client;
exports.connect = connect;
exports.describe = describe;
return exports;
})({});