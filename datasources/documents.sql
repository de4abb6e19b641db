-- name: register_documents
-- Trust these documents from now on; an id that is known gets the new text. Gives the ids whose text is new.
INSERT INTO monitor.documents AS d (id, sha256, text)
SELECT given.id, given.sha256, given.text
FROM unnest(:ids::text[], :hashes::text[], :texts::text[]) AS given (id, sha256, text)
ON CONFLICT (id) DO UPDATE SET sha256 = excluded.sha256, text = excluded.text, registered_at = now()
WHERE d.text <> excluded.text
RETURNING d.id

-- name: documents
-- All trusted documents.
SELECT d.id, d.sha256, d.text, d.registered_at FROM monitor.documents d ORDER BY d.id

-- name: documents_mark
-- Something that is different once a document has come or gone.
SELECT count(*) AS documents, coalesce(sum(hashtextextended(d.id || d.sha256, 0)::numeric), 0)::text AS mark
FROM monitor.documents d

-- name: forget_documents
-- Trust these documents no more; gives the ids that were known.
DELETE FROM monitor.documents d WHERE d.id = ANY(:ids::text[]) RETURNING d.id

-- name: forget_all_documents
-- Trust no document any more; gives their ids.
DELETE FROM monitor.documents d RETURNING d.id
