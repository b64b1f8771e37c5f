package wording

import "certsign/agent"

// shortSerial is how much of a serial number names a certificate among a person's few.
const shortSerial = 12

// BackupAdvice says how to make a copy of a new key that is a file, or is "".
func (l Language) BackupAdvice(c *agent.CertificateView) string {
	if c == nil || c.Store != "keyfile" {
		return ""
	}
	return l.Text("notice.enrolled.backup", Visible(c.Serial[:min(len(c.Serial), shortSerial)]))
}
