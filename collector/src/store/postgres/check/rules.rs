//! Rows that must not exist. References come first: this schema has no foreign keys, so only the check finds broken
//! ones.

/// Each statement finds rows that must not exist. Its line names them by their first column.
pub(super) const RULES: &[(&str, &str)] = &[
    (
        "{} refers to a row that does not exist",
        "SELECT what FROM (
             SELECT 'a host (its site)' AS what FROM host h WHERE NOT EXISTS (SELECT 1 FROM site WHERE no = h.site)
             UNION ALL SELECT 'a host (a phrase)' FROM host h,
                 LATERAL (VALUES (h.os_name), (h.kernel), (h.architecture), (h.agent_version)) AS p (no)
                 WHERE NOT EXISTS (SELECT 1 FROM phrase WHERE no = p.no)
             UNION ALL SELECT 'the current row of a host' FROM host_current n WHERE NOT EXISTS (SELECT 1 FROM host WHERE no = n.host)
             UNION ALL SELECT 'the current row of a host (its snapshot)' FROM host_current n
                 WHERE n.snapshot IS NOT NULL AND NOT EXISTS (SELECT 1 FROM snapshot WHERE no = n.snapshot)
             UNION ALL SELECT 'a key' FROM host_key k WHERE NOT EXISTS (SELECT 1 FROM host WHERE no = k.host)
             UNION ALL SELECT 'the history of snapshots' FROM host_snapshot p
                 WHERE NOT EXISTS (SELECT 1 FROM host WHERE no = p.host) OR NOT EXISTS (SELECT 1 FROM snapshot WHERE no = p.snapshot)
             UNION ALL SELECT 'the current row of a host (its state)' FROM host_current n
                 WHERE (n.judged_state IS NOT NULL AND NOT EXISTS (SELECT 1 FROM judged_state WHERE no = n.judged_state))
                 OR (n.judged_rules IS NOT NULL AND NOT EXISTS (SELECT 1 FROM rules WHERE no = n.judged_rules))
             UNION ALL SELECT 'the history of states' FROM host_state s
                 WHERE NOT EXISTS (SELECT 1 FROM host WHERE no = s.host)
                 OR NOT EXISTS (SELECT 1 FROM judged_state WHERE no = s.judged_state)
             UNION ALL SELECT 'a mark of a host' FROM host_mark m WHERE NOT EXISTS (SELECT 1 FROM host WHERE no = m.host)
             UNION ALL SELECT 'a gap' FROM host_gap g WHERE NOT EXISTS (SELECT 1 FROM host WHERE no = g.host)
             UNION ALL SELECT 'a remediation record' FROM host_remediation c
                 WHERE NOT EXISTS (SELECT 1 FROM host WHERE no = c.host) OR NOT EXISTS (SELECT 1 FROM orders WHERE no = c.order_no)
             UNION ALL SELECT 'a verdict' FROM verdict v
                 WHERE NOT EXISTS (SELECT 1 FROM host WHERE no = v.host) OR NOT EXISTS (SELECT 1 FROM orders WHERE no = v.order_no)
                 OR NOT EXISTS (SELECT 1 FROM phrase WHERE no = v.reason)
                 OR NOT EXISTS (SELECT 1 FROM phrase WHERE no = v.advice)
             UNION ALL SELECT 'the history of verdicts' FROM verdict_history v
                 WHERE NOT EXISTS (SELECT 1 FROM host WHERE no = v.host) OR NOT EXISTS (SELECT 1 FROM orders WHERE no = v.order_no)
             UNION ALL SELECT 'the judge queue' FROM judge_queue d WHERE NOT EXISTS (SELECT 1 FROM host WHERE no = d.host)
             UNION ALL SELECT 'a hit' FROM section_hit i
                 WHERE NOT EXISTS (SELECT 1 FROM section WHERE no = i.section)
                 OR NOT EXISTS (SELECT 1 FROM rules WHERE no = i.rules)
         ) lost LIMIT 1000",
    ),
    (
        "the current snapshot of host {} is not complete",
        "SELECT encode(h.id, 'hex') FROM host_current n JOIN snapshot l ON l.no = n.snapshot JOIN host h ON h.no = n.host
         WHERE NOT l.complete",
    ),
    (
        "the snapshots of host {} overlap in time or leave a gap",
        "SELECT DISTINCT encode(h.id, 'hex') FROM (
             SELECT host, since, until, lead(since) OVER w AS next
             FROM (SELECT host, since, until FROM host_snapshot
                   UNION ALL SELECT host, snapshot_since, NULL FROM host_current WHERE snapshot IS NOT NULL) p
             WINDOW w AS (PARTITION BY host ORDER BY since)
         ) p JOIN host h ON h.no = p.host WHERE p.until <= p.since OR p.next IS DISTINCT FROM p.until",
    ),
    (
        "host {} has the same snapshot twice in a row in its history",
        "SELECT DISTINCT encode(h.id, 'hex') FROM (
             SELECT host, snapshot, lead(snapshot) OVER (PARTITION BY host ORDER BY since) AS next
             FROM (SELECT host, since, snapshot FROM host_snapshot
                   UNION ALL SELECT host, snapshot_since, snapshot FROM host_current WHERE snapshot IS NOT NULL) p
         ) p JOIN host h ON h.no = p.host WHERE p.next = p.snapshot",
    ),
    (
        "the states of host {} do not end before the current one begins",
        "SELECT DISTINCT encode(h.id, 'hex') FROM host_state p JOIN host_current n ON n.host = p.host
         JOIN host h ON h.no = p.host WHERE n.state_since IS NULL OR p.since >= n.state_since",
    ),
    (
        "the gaps of host {} overlap in time",
        "SELECT DISTINCT encode(h.id, 'hex') FROM (
             SELECT host, since, until, lead(since) OVER (PARTITION BY host ORDER BY since) AS next FROM host_gap
         ) p JOIN host h ON h.no = p.host WHERE p.until <= p.since OR p.next < p.until",
    ),
    (
        "the lanes of host {} overlap in time",
        "SELECT DISTINCT encode(h.id, 'hex') FROM (
             SELECT host, since, until, lead(since) OVER (PARTITION BY host, order_no ORDER BY since) AS next
             FROM (SELECT host, order_no, since, until FROM verdict_history
                   UNION ALL SELECT host, order_no, since, NULL FROM verdict) p
         ) p JOIN host h ON h.no = p.host
         WHERE p.until <= p.since OR p.next < p.until OR (p.until IS NULL AND p.next IS NOT NULL)",
    ),
    (
        "the tally differs from a recount: {}",
        "SELECT format('order %s, site %s, lane %s, in scope %s, listed %s: %s stored, %s counted',
                       (SELECT text FROM orders WHERE no = t.order_no), (SELECT id FROM site WHERE no = t.site), lane, in_scope, listed, sum(kept), sum(counted))
         FROM (
             SELECT order_no, site, lane, in_scope, listed, hosts AS kept, 0 AS counted FROM tally
             UNION ALL
             SELECT v.order_no, h.site, v.lane, v.in_scope, n.listed, 0, count(*) FROM verdict v JOIN host h ON h.no = v.host
             JOIN host_current n ON n.host = v.host
             GROUP BY v.order_no, h.site, v.lane, v.in_scope, n.listed
         ) t GROUP BY order_no, site, lane, in_scope, listed HAVING sum(kept) <> sum(counted)",
    ),
    (
        "the number of entries of the roster differs from a recount: {}",
        "SELECT format('state %s, site %s, platform %s: %s stored, %s counted', state, site, platform, sum(kept), sum(counted))
         FROM (SELECT state, site, platform, entries AS kept, 0 AS counted FROM roster_count
               UNION ALL
               SELECT state, counted_site, platform, 0, count(*) FROM roster_entry GROUP BY state, counted_site, platform) t
         GROUP BY state, site, platform HAVING sum(kept) <> sum(counted)",
    ),
    (
        "host {} is counted as a machine of the roster and is none, or the other way round",
        "SELECT encode(h.id, 'hex') FROM host h JOIN host_current n ON n.host = h.no
         LEFT JOIN roster_entry e ON e.host = h.no WHERE n.listed <> (e.no IS NOT NULL)",
    ),
    (
        "waiver {} covers more hosts than were asked for",
        "SELECT x.waiver::text FROM waiver_host x LEFT JOIN waiver w ON w.no = x.waiver WHERE coalesce(w.state, 0) <> 1
         GROUP BY x.waiver, w.hosts HAVING count(*) > coalesce(w.hosts, 0)",
    ),
    (
        "the number of hosts differs from a recount: {}",
        "SELECT format('site %s: %s stored, %s counted', (SELECT id FROM site WHERE no = t.site), sum(kept), sum(counted))
         FROM (SELECT site, hosts AS kept, 0 AS counted FROM site_hosts
               UNION ALL SELECT site, 0, count(*) FROM host GROUP BY site) t
         GROUP BY site HAVING sum(kept) <> sum(counted)",
    ),
    (
        "host {} has neither a verdict nor a place on the judge queue",
        "SELECT encode(h.id, 'hex') FROM host h WHERE NOT EXISTS (SELECT 1 FROM judge_queue d WHERE d.host = h.no)
         AND EXISTS (SELECT 1 FROM orders) AND NOT EXISTS (SELECT 1 FROM verdict v WHERE v.host = h.no)
         AND EXISTS (SELECT 1 FROM verdict)",
    ),
    (
        "host {} has no current row",
        "SELECT encode(h.id, 'hex') FROM host h WHERE NOT EXISTS (SELECT 1 FROM host_current n WHERE n.host = h.no)",
    ),
    (
        "host {} does not have exactly one key in use",
        "SELECT encode(h.id, 'hex') FROM host h
         WHERE (SELECT count(*) FROM host_key k WHERE k.host = h.no AND k.status = 1) <> 1",
    ),
    (
        "enrollment token {} was used more often than allowed",
        "SELECT id FROM enrollment_token WHERE max_uses > 0 AND uses > max_uses",
    ),
];
